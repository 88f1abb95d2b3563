using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.MachineMember;

/// <summary>Roles: <c>caller MODE SECONDS SEED</c>, <c>callee NAME [NEXT] OPTIONS</c>. Options: churn, storm.</summary>
internal static unsafe class Program
{
    public static readonly Arena* At = (Arena*)nint.Parse(Environment.GetEnvironmentVariable(Arena.Variable)!);

    private static int Main(string[] args)
    {
        try
        {
            string[] options = args[^1].Split(',');
            if (options.Contains("churn"))
            {
                Churn.Start();
            }

            if (args[0] == "caller")
            {
                Storm.InstallHandler();                          // before attaching; the callees do it afterwards
                Caller.Run(args[1], double.Parse(args[2]), int.Parse(args[3]), options);
            }
            else
            {
                Callee.Run(args[1], args.Length > 3 ? args[2] : null, options);
            }

            return 0;
        }
        catch (Exception e)
        {
            Fail(e.ToString());
            Console.Error.WriteLine(e);
            return 1;
        }
    }

    public static bool StormsStopped => Volatile.Read(ref At->Stop) != 0;

    public static bool Stopped => Volatile.Read(ref At->Stop) == 2;

    /// <summary>Keeps the first failure's text.</summary>
    public static void Fail(string text)
    {
        if (Interlocked.Increment(ref At->Wrong) == 1)
        {
            ReadOnlySpan<byte> bytes = System.Text.Encoding.UTF8.GetBytes(text);
            bytes[..Math.Min(bytes.Length, Arena.FailureBytes - 1)].CopyTo(new(At->Failure, Arena.FailureBytes));
        }
    }

    public static void Join(Thread? thread, TimeSpan limit)
    {
        if (thread is not null && !thread.Join(limit))
        {
            Fail($"Thread {thread.Name} has not ended in {limit.TotalSeconds} s.");
        }
    }

    /// <summary>1: storms end; 2: everything does.</summary>
    public static void StopStorms() => Volatile.Write(ref At->Stop, 1);

    public static void Stop()
    {
        Volatile.Write(ref At->Stop, 2);
        _ = Sys.FutexWake(&At->Stop, int.MaxValue);
    }
}
