namespace Rpal.Machine.Platform;

/// <summary>Finds out what this machine can do by trying it: version numbers say nothing about seccomp profiles, sysctls and hypervisors.</summary>
internal static class PlatformCheck
{
    private static PlatformReport? s_canRun;

    /// <summary>What a family cannot do without, as far as a few system calls can tell (well under 1 ms).
    /// Asked until a family can run here: what is missing may be a descriptor that is free later.</summary>
    public static PlatformReport Required
    {
        get
        {
            if (s_canRun is { } known)
            {
                return known;
            }

            PlatformReport report = new(KernelProbes.Required());
            s_canRun = report.CanRun ? report : null;
            return report;
        }
    }

    /// <summary>Everything, the dangerous parts in tasks of their own.</summary>
    public static PlatformReport Run()
    {
        List<PlatformFinding> findings = KernelProbes.Required();
        bool tryTasks = findings.All(f => f.Works);
        List<PlatformFinding> more = tryTasks ? TaskProbes.Run() : TaskProbes.NotTried(findings.First(f => !f.Works).Feature.Name);
        more.AddRange(KernelProbes.Optional());

        // A task's word replaces what asking alone could tell.
        List<PlatformFinding> all = [.. findings.Select(f => more.Find(m => m.Feature == f.Feature) ?? f)];
        all.AddRange(more.Where(m => !all.Exists(f => f.Feature == m.Feature)));
        return new PlatformReport([.. all.OrderBy(f => !f.Feature.Required)]);
    }
}
