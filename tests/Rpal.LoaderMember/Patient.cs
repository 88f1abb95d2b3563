namespace Rpal.LoaderMember;

/// <summary>Waits of scenarios. Whoever runs them is less patient.</summary>
internal static class Patient
{
    public static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    public static void Ends(Thread thread) => Came(thread.Join(Limit), "the end of a thread");

    public static void Came(bool came, string what)
    {
        if (!came)
        {
            throw new TimeoutException($"Waited {Limit.TotalMinutes} minutes for {what}.");
        }
    }
}
