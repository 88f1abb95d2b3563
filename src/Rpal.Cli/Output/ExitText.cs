namespace Rpal.Cli.Output;

/// <summary>Times in words.</summary>
internal static class ExitText
{
    /// <summary>"0.053 s", "12.3 s", "3 min 07 s", "2 h 05 min".</summary>
    public static string Describe(TimeSpan ran) => ran.TotalSeconds switch
    {
        < 10 => $"{ran.TotalSeconds:0.000} s",
        < 60 => $"{ran.TotalSeconds:0.0} s",
        < 3600 => $"{ran.Minutes} min {ran.Seconds:00} s",
        _ => $"{(int)ran.TotalHours} h {ran.Minutes:00} min",
    };
}
