using Rpal.TestMember.Scenarios;

namespace Rpal.TestMember;

/// <summary>Runs one scenario as a member of a family: exit code 0 when everything in it was as it should be.</summary>
internal static class Program
{
    private static readonly Dictionary<string, Func<string[], int>> s_scenarios = new(StringComparer.Ordinal);

    private static int Main(string[] args)
    {
        foreach (Action<Dictionary<string, Func<string[], int>>> add in (ReadOnlySpan<Action<Dictionary<string, Func<string[], int>>>>)
            [StandardService.Add, Basics.Add, Membership.Add, Collections.Add, Handlers.Add, Deaths.Add, Nesting.Add, Waiting.Add, Threads.Add, Meetings.Add, Signals.Add, Copies.Add, States.Add, Versions.Add, Accounting.Add, PerCpu.Add, Buffers.Add, Closings.Add, Isolation.Add, GsDeeds.Add, Judged.Add, Proxies.Add, Denials.Add])
        {
            add(s_scenarios);
        }

        return s_scenarios[args[0]](args[1..]);
    }
}
