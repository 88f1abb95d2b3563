using System.Collections.Concurrent;
using Rpal.Linux;

namespace Rpal.TestMember.Scenarios;

/// <summary>Handlers that call: through three processes, and back into the first.</summary>
/// <remarks>A relay's request says how deep to go and what to do on the way: depth in the low 8 bits, flags above.</remarks>
internal static class Nesting
{
    private const long WithSystemCalls = 0x100, ThrowAtTheEnd = 0x200, WithCollections = 0x400;

    private static readonly ConcurrentDictionary<string, RpalConnection> s_connections = new();
    private static string s_next = "";

    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.Add("relay", args =>
        {
            s_next = args[1];
            StandardService.Serve(args[0], int.Parse(args[2]));
            return 0;
        });
        scenarios.Add("nested", args => Nested(args[0], int.Parse(args[1])));
        scenarios.Add("mutual", args => Mutual(int.Parse(args[0]), int.Parse(args[1])));
    }

    /// <summary>Has the next service do it: it hands on what it was lent.</summary>
    public static void Forward(in Order order, ref long answer) =>
        Check.Equal(CallStatus.Answered, s_connections.GetOrAdd(s_next, static name => Calls.Connect(name)).Call(Methods.Do, in order, ref answer, Calls.Soon));

    /// <summary>As <see cref="Forward"/>, for bytes.</summary>
    public static void ForwardBytes(ReadOnlySpan<byte> request, ref AnswerWriter answer)
    {
        RpalConnection next = s_connections.GetOrAdd(s_next, static name => Calls.Connect(name));
        Check.Equal(CallStatus.Answered, next.Call(Methods.DoBytes, request, answer.Rest, out int lengthBytes, Calls.Soon));
        answer.Advance(lengthBytes);
    }

    public static long Relay(long order)
    {
        long depth = order & 0xFF;
        if ((order & WithSystemCalls) != 0)
        {
            Check.That(Directory.Exists("/"));
        }

        if ((order & WithCollections) != 0)
        {
            GC.Collect(0);
        }

        if (depth == 0)
        {
            return (order & ThrowAtTheEnd) != 0 ? throw new InvalidOperationException("deep down")
                : (order & WithSystemCalls) != 0 ? Sys.GetPid() : Environment.ProcessId;
        }

        long answer = 0;
        RpalConnection next = s_connections.GetOrAdd(s_next, static name => Calls.Connect(name));
        Check.Equal(CallStatus.Answered, next.Call(Methods.Relay, order - 1, ref answer, Calls.Soon));
        if ((order & WithSystemCalls) != 0)
        {
            Check.That(Directory.Exists("/"));
        }

        return answer;
    }

    /// <summary>The caller of a chain of relays that begins at <paramref name="first"/>.</summary>
    private static int Nested(string first, int depth)
    {
        RpalConnection relay = Calls.Connect(first);
        Drive(relay, depth, threads: 3, rounds: 2000);
        relay.Stop();
        foreach (string name in (ReadOnlySpan<string>)["b", "c"])
        {
            if (name != first)
            {
                Calls.Connect(name).Stop();
            }
        }

        return 0;
    }

    /// <summary>Member A: calls "b", whose relay calls back into this process's "a", and so on.</summary>
    private static int Mutual(int depth, int threads)
    {
        s_next = "b";
        RpalService own = StandardService.Register("a", 32, static () => { });
        own.Enable();
        RpalConnection b = Calls.Connect("b");
        Drive(b, depth, threads, rounds: 500);
        b.Stop();
        own.DisposeAsync().AsTask().GetAwaiter().GetResult();
        return 0;
    }

    private static void Drive(RpalConnection relay, int depth, int threads, int rounds)
    {
        long expected = Ask(relay, depth);
        Check.Parallel(threads, t =>
        {
            for (int i = 0; i < rounds; i++)
            {
                Check.Equal(expected, Ask(relay, depth));
                if (i % 10 == 0)
                {
                    Check.Equal(expected, Ask(relay, depth | WithSystemCalls));
                }

                if (i % 50 == 0)
                {
                    Check.Equal(expected, Ask(relay, depth | WithCollections));
                    Check.Equal(expected, Ask(relay, depth | WithCollections | WithSystemCalls));
                    RemoteCallException e = Check.Throws<RemoteCallException>(() => Ask(relay, depth | ThrowAtTheEnd | (i % 100 == 0 ? WithSystemCalls : 0)));
                    Check.Equal(depth == 0 ? "System.InvalidOperationException" : typeof(RemoteCallException).FullName, e.RemoteType);
                    Check.That(e.RemoteMessage.EndsWith("deep down", StringComparison.Ordinal), e.RemoteMessage);
                }
            }
        });
    }

    private static long Ask(RpalConnection relay, long order)
    {
        long answer = 0;
        Check.Equal(CallStatus.Answered, relay.Call(Methods.Relay, order, ref answer, Calls.Soon));
        return answer;
    }
}
