using System.Globalization;
using Rpal.Cli.Bench;

namespace Rpal.Cli.Torture;

/// <summary>The parts that this program plays when it tortures itself: the host of one phase, and its members.</summary>
internal static unsafe class TortureRoles
{
    private const string Word = "torture-role";

    public static (string Command, string[] Arguments) Phase(TortureOptions options) => SelfCommand.With([Word, "host", .. options.ToWords()]);

    public static (string Command, string[] Arguments) Member(string role, TortureArena* arena, int index, TortureOptions options) =>
        SelfCommand.With([Word, role, ((nint)arena).ToString(CultureInfo.InvariantCulture), $"{index}", .. options.ToWords()]);

    /// <returns>The exit code, or null: this is another role.</returns>
    public static int? TryRun(string[] args)
    {
        switch (args)
        {
            case [Word, "host", .. var words]:
                return TorturePhase.Run(TortureOptions.FromWords(words));
            case [Word, var role, var arena, var index, .. var words]:
                var shared = (TortureArena*)nint.Parse(arena, CultureInfo.InvariantCulture);
                if (role == "callee")
                {
                    CalleeRole.Run(shared, int.Parse(index), TortureOptions.FromWords(words));
                }
                else
                {
                    RunCaller(shared, int.Parse(index), TortureOptions.FromWords(words));
                }

                return 0;
            default:
                return null;
        }
    }

    private static void RunCaller(TortureArena* arena, int self, TortureOptions options)
    {
        MemberPlace* place = TortureArena.Caller(arena, self);
        ulong incarnation = Interlocked.Increment(ref place->Incarnation);
        using var nuisance = new Nuisance(place, options.Seed + (ulong)self * 131 + incarnation);
        CallerRole[] callers = CallerRole.Create(arena, self, options, incarnation);
        Volatile.Write(ref place->Ready, incarnation);
        CallerLine.RunAsync(callers).GetAwaiter().GetResult();
    }
}
