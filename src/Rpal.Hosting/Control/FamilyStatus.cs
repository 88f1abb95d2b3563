namespace Rpal.Hosting.Control;

/// <summary>What <c>rpal ps</c> shows, and its <c>--json</c> as it is.</summary>
internal sealed record FamilyStatus(int HostPid, double UptimeSeconds, string? File, int SlotsFree, IReadOnlyList<MemberStatus> Members, IReadOnlyList<ServiceInfo> Services);

/// <summary>A member now. Pid to Threads are null when no process of it runs; exit code and signal are its last process's, null before the first end.</summary>
internal sealed record MemberStatus(
    string Name, string State, int Restarts, int? Pid, int? Slot, double? UptimeSeconds, long? MemoryBytes, int? Threads, int? ExitCode, int? Signal, string Restart, IReadOnlyList<string> Command);

/// <summary>A service now. The counters are sums over its receivers since it was registered.</summary>
internal sealed record ServiceInfo(string Name, string Member, string State, ReceiverCounts Receivers, long LazySwitches, long InPlaceCalls, long Evictions, int Waiting);

/// <summary>Receivers by state, see ReceiverState.</summary>
internal sealed record ReceiverCounts(int Ready, int Foreign, int Own, int Dead, int Other);
