namespace Rpal.Hosting.Broker;

/// <summary>Lines for the operator about one member, kept until its thread has its answer: the operator's terminal may be slow. Used by the
/// member's broker thread.</summary>
internal sealed class Notices
{
    private readonly HashSet<NoticeKind> _told = [];
    private readonly Queue<string> _waiting = [];

    public bool HasTold(NoticeKind kind) => _told.Contains(kind);

    /// <summary>Adds a line, the first time that its kind comes. Null is none.</summary>
    public void Once(NoticeKind kind, string? text)
    {
        if (text is not null && _told.Add(kind))
        {
            _waiting.Enqueue(text);
        }
    }

    /// <summary>Adds a line of somebody who knows himself whether it was said already. Null is none.</summary>
    public void Add(string? text)
    {
        if (text is not null)
        {
            _waiting.Enqueue(text);
        }
    }

    /// <returns>The next line, or null.</returns>
    public string? Take() => _waiting.TryDequeue(out string? text) ? text : null;
}
