namespace Rpal.LoaderMember.Scenarios;

/// <summary>Which scenario the first argument names.</summary>
internal static class LoaderDispatch
{
    private static readonly Dictionary<string, Func<string[], int>> Scenarios = new()
    {
        ["arguments"] = LoaderIdentity.Arguments,
        ["environment"] = LoaderIdentity.Variables,
        ["identity"] = LoaderIdentity.Identity,
        ["descriptors"] = LoaderIdentity.Descriptors,
        ["exit"] = LoaderEnds.Exit,
        ["abort"] = LoaderEnds.Abort,
        ["null-reference"] = LoaderEnds.NullReference,
        ["overflow"] = LoaderEnds.Overflow,
        ["hold"] = LoaderEnds.Hold,
        ["hold-gc"] = args => LoaderEnds.Hold(args) + LoaderMemory.Collector(args),
        ["graceful"] = LoaderEnds.Graceful,
        ["cleanup"] = LoaderEnds.Cleanup,
        ["unhandled"] = LoaderEnds.Unhandled,
        ["children"] = LoaderChildren.Run,
        ["memory"] = LoaderMemory.Run,
        ["threads"] = LoaderMemory.Threads,
        ["gc"] = LoaderMemory.Collector,
    };

    public static int Run(string[] args)
    {
        if (args.Length == 0 || !Scenarios.TryGetValue(args[0], out Func<string[], int>? scenario))
        {
            Console.Error.WriteLine($"one of: {string.Join(' ', Scenarios.Keys)}");
            return 64;
        }

        return scenario(args[1..]);
    }
}
