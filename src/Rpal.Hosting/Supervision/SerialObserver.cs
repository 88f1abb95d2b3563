namespace Rpal.Hosting.Supervision;

/// <summary>Calls an observer one call at a time, from whatever thread.</summary>
/// <remarks>What an observer throws ends here: it is told the first time, and the threads that look after the family go on.</remarks>
internal sealed class SerialObserver(IFamilyObserver observer) : IFamilyObserver
{
    private readonly Lock _lock = new();
    private bool _hasFailed;

    public void Line(string member, bool isError, ReadOnlySpan<byte> line)
    {
        lock (_lock)
        {
            try
            {
                observer.Line(member, isError, line);
            }
            catch (Exception e)
            {
                Failed(e);
            }
        }
    }

    public void Started(string member, int processId, long slotAddress) => Tell(o => o.Started(member, processId, slotAddress));

    public void Ended(string member, MemberExit exit, TimeSpan ran) => Tell(o => o.Ended(member, exit, ran));

    public void Notice(string member, string text) => Tell(o => o.Notice(member, text));

    public void Ready(string member, TimeSpan after) => Tell(o => o.Ready(member, after));

    public void Acting(string member, string text) => Tell(o => o.Acting(member, text));

    public void Restarting(string member, TimeSpan delay, int attempt, string why) => Tell(o => o.Restarting(member, delay, attempt, why));

    public void GivenUp(string member, string why) => Tell(o => o.GivenUp(member, why));

    private void Tell(Action<IFamilyObserver> tell)
    {
        lock (_lock)
        {
            try
            {
                tell(observer);
            }
            catch (Exception e)
            {
                Failed(e);
            }
        }
    }

    private void Failed(Exception e)
    {
        bool isFirst = !_hasFailed;
        _hasFailed = true;
        try
        {
            if (isFirst)
            {
                observer.Notice("rpal", $"What is told here failed once or more, the family goes on: {e.OneLine()}");
            }
        }
        catch (Exception)
        {
            // there is nobody else to tell
        }
    }
}
