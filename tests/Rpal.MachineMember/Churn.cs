namespace Rpal.MachineMember;

/// <summary>Keeps this process's collector busy.</summary>
internal static unsafe class Churn
{
    private const int ObjectBytes = 200, Objects = 200, PaceMs = 1;

    private static object? s_kept;

    public static void Start() => new Thread(static () =>
    {
        while (!Program.Stopped)
        {
            for (int i = 0; i < Objects; i++)
            {
                s_kept = new byte[ObjectBytes];
            }

            GC.Collect(0);
            Interlocked.Increment(ref Program.At->Collections);
            Thread.Sleep(PaceMs);                                // three processes on few CPUs: collections, not starvation
        }
    })
    { IsBackground = true, Name = "churn" }.Start();
}
