namespace Rpal.Hosting.Control;

/// <summary>What <c>rpal ps</c> shows, and its <c>--json</c> as it is.</summary>
internal sealed record FamilyStatus(int HostPid, double UptimeSeconds, string? File, int SlotsFree, bool Accounting, IReadOnlyList<MemberStatus> Members, IReadOnlyList<ServiceInfo> Services);

/// <summary>A member now. Pid to Donations are null when no process of it runs; exit code and signal are its last process's, null before the first end.</summary>
internal sealed record MemberStatus(
    string Name, string State, int Restarts, int? Pid, int? Slot, double? UptimeSeconds, long? MemoryBytes, int? Threads, CpuSeconds? Cpu, IReadOnlyList<DonatedTo>? Donations, int? ExitCode, int? Signal, string Restart, IReadOnlyList<string> Command);

/// <summary>CPU time of a process: as the kernel books it, what of that it spent in services of others, what others spent in its own, and what is its own work. The last three need accounting.</summary>
internal sealed record CpuSeconds(double Kernel, double Donated, double Received, double Corrected);

/// <summary>What a process spent in one service since it started, in cycles of the time stamp counter and as time. The service is null for all those that are gone. Needs accounting.</summary>
internal sealed record DonatedTo(string? Service, double Seconds, ulong Cycles);

/// <summary>A service now. The counters are sums over its receivers since it was registered; received seconds need accounting.</summary>
internal sealed record ServiceInfo(
    string Name, string Member, string State, ReceiverCounts Receivers, long Calls, double ReceivedSeconds, long LazySwitches, LazyCauses LazyBy, long InPlaceCalls, long Evictions, int Waiting);

/// <summary>Why calls went on at home.</summary>
internal sealed record LazyCauses(long SystemCalls, long Faults, long Signals);

/// <summary>Receivers by state, see ReceiverState.</summary>
internal sealed record ReceiverCounts(int Ready, int Foreign, int Own, int Dead, int Other);
