using System.Globalization;

namespace Rpal.Cli.Torture;

/// <summary>What one torture run does. Travels to the process of each phase, and on to its members, as words.</summary>
/// <param name="Phase">"random" or "points".</param>
/// <param name="Seconds">How long kills at random instants go on.</param>
/// <param name="Seed">All random choices come from it.</param>
/// <param name="PerPoint">Kills at each numbered point.</param>
/// <param name="Callers">Processes that call.</param>
/// <param name="Callees">Processes that serve.</param>
/// <param name="Trace">Members are traced all their life: no context is lost.</param>
/// <param name="OnlyPoint">Kills at this point only; empty: at all.</param>
internal sealed record TortureOptions(string Phase, double Seconds, ulong Seed, int PerPoint, int Callers, int Callees, bool Trace, string OnlyPoint)
{
    /// <summary>Threads of a caller that call at a time: each the last of a line (<see cref="Carrier"/>).</summary>
    public const int Threads = 2;

    /// <summary>Receivers of a callee's service.</summary>
    public const int Receivers = 2;

    public bool Inject => Phase == "points";

    public string[] ToWords() => [Phase, Seconds.ToString(CultureInfo.InvariantCulture), $"{Seed}", $"{PerPoint}", $"{Callers}", $"{Callees}", $"{Trace}", OnlyPoint];

    public static TortureOptions FromWords(string[] w) =>
        new(w[0], double.Parse(w[1], CultureInfo.InvariantCulture), ulong.Parse(w[2]), int.Parse(w[3]), int.Parse(w[4]), int.Parse(w[5]), bool.Parse(w[6]), w.ElementAtOrDefault(7) ?? "");
}
