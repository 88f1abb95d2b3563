namespace Rpal.Testing;

/// <summary>Tests that need minutes have a short form, which dotnet test runs, and a long one: RPAL_LONG=1 in the environment.</summary>
internal static class Long
{
    public static bool IsWanted { get; } = Environment.GetEnvironmentVariable("RPAL_LONG") == "1";

    public static T Choose<T>(T shortly, T wanted) => IsWanted ? wanted : shortly;
}
