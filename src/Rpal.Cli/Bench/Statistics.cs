namespace Rpal.Cli.Bench;

/// <summary>Figures of a series of samples.</summary>
internal readonly record struct Statistics(long Count, double Mean, double P50, double P99, double P999)
{
    public static Statistics Of(Span<uint> samples)
    {
        samples.Sort();
        double sum = 0;
        foreach (uint s in samples)
        {
            sum += s;
        }

        return new(samples.Length, sum / samples.Length, At(samples, 0.5), At(samples, 0.99), At(samples, 0.999));
    }

    public Statistics Times(double factor) => new(Count, Mean * factor, P50 * factor, P99 * factor, P999 * factor);

    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private static double At(ReadOnlySpan<uint> sorted, double share) => sorted[(int)Math.Min(sorted.Length - 1, sorted.Length * share)];
}
