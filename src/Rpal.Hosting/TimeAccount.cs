using System.Text;
using Rpal.Linux;
using Rpal.Machine.Accounting;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting;

/// <summary>What one process's threads spent in a service of another, or of its own.</summary>
/// <param name="Service">Its name; null: all services that are gone.</param>
/// <param name="Cycles">Cycles of the time stamp counter, those of nested calls included.</param>
internal sealed record Donation(string? Service, ulong Cycles);

/// <summary>Whose work a member's CPU time was.</summary>
/// <param name="Member">Its index.</param>
/// <param name="ProcessId">Its process.</param>
/// <param name="KernelCpu">CPU time of its threads, as the kernel counts it.</param>
/// <param name="Donated">Of this, what was spent in services.</param>
/// <param name="Received">What other threads spent in its services.</param>
/// <param name="Donations">Donated per service, most first.</param>
internal sealed record MemberTime(int Member, int ProcessId, TimeSpan KernelCpu, TimeSpan Donated, TimeSpan Received, IReadOnlyList<Donation> Donations)
{
    /// <summary>
    /// What its own code used: kernel's - donated + received. Over all members it sums up to the kernel's. Donated time is elapsed
    /// time: where threads wait for a CPU inside a handler, a member can come out too low, even below zero.
    /// </summary>
    public TimeSpan CorrectedCpu => KernelCpu - Donated + Received;
}

/// <summary>What a service did. The counters are its receivers' own; only the time needs accounting switched on.</summary>
/// <param name="Service">Its name.</param>
/// <param name="Member">Whose it is.</param>
/// <param name="Calls">Handlers that returned.</param>
/// <param name="Received">Time of other threads in it, nested calls included.</param>
/// <param name="LazySwitches">Calls that went on at home, because they needed the kernel.</param>
/// <param name="SystemCallsInPlace">System calls that did not.</param>
internal sealed record ServiceTime(string Service, int Member, long Calls, TimeSpan Received, long LazySwitches, long SystemCallsInPlace);

/// <summary>The family's time accounting, as the host reads it. See docs/adr/0010.</summary>
internal static unsafe class TimeAccount
{
    /// <summary>Whether calls are timed. May be changed at any time: a call ends as it began.</summary>
    public static bool Enabled
    {
        get => Volatile.Read(ref FamilyHeader.At->Accounting) != 0;
        set => Volatile.Write(ref FamilyHeader.At->Accounting, value ? 1u : 0);
    }

    /// <summary>Cycles that services of a slot have received since the family began.</summary>
    public static ulong ReceivedBy(int member) => Books.Sum(Books.All().Where(r => r.Receiver == member));

    /// <summary>A running member's time.</summary>
    /// <param name="member">Its index.</param>
    /// <param name="processId">Its process.</param>
    /// <param name="opening">Of the slot, when it started.</param>
    /// <param name="receivedAtStart"><see cref="ReceivedBy"/> when it started.</param>
    /// <returns>Null: the process is gone.</returns>
    public static MemberTime? Of(int member, int processId, OpeningBalance opening, ulong receivedAtStart)
    {
        List<Donation> donations = DonationsOf(opening);
        ulong donated = donations.Aggregate(0ul, static (sum, d) => sum + d.Cycles), received = ReceivedBy(member) - receivedAtStart;
        long cpuNs = Sys.ProcessCpuNs(processId);                // after the accounts: what they book has been used
        return cpuNs < 0 ? null : new MemberTime(member, processId, TimeSpan.FromTicks(cpuNs / TimeSpan.NanosecondsPerTick), Books.ToTime(donated), Books.ToTime(received), donations);
    }

    /// <summary>All services that are registered now.</summary>
    public static IReadOnlyList<ServiceTime> Services()
    {
        Dictionary<ulong, ulong> received = Books.ReceivedByAll();
        List<ServiceTime> services = [];
        for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
        {
            ServiceEntry* entry = FamilyHeader.Service(i);
            ulong registration = Volatile.Read(ref entry->Registration);
            if (NameOf(entry) is not { } name)
            {
                continue;
            }

            long calls = 0, lazy = 0, inPlace = 0;
            for (int r = 0; r < Math.Clamp(Volatile.Read(ref entry->ReceiverCount), 0, FamilyLayout.ReceiversPerService); r++)
            {
                ReceiverBlock* receiver = BlockAddress.Receiver((nint)Volatile.Read(ref entry->Receivers[r]));
                // Not its registration: 0 while the service is disabled.
                if (receiver is not null && receiver->Service == entry)
                {
                    calls += (long)receiver->Calls;
                    lazy += (long)receiver->LazySwitches;
                    inPlace += (long)receiver->InPlaceCalls;
                }
            }

            services.Add(new ServiceTime(name, entry->Member, calls, Books.ToTime(received.GetValueOrDefault(registration)), lazy, inPlace));
        }

        return services;
    }

    private static List<Donation> DonationsOf(OpeningBalance opening)
    {
        Dictionary<ulong, string> names = [];
        for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
        {
            if (NameOf(FamilyHeader.Service(i)) is { } name)
            {
                names[FamilyHeader.Service(i)->Registration] = name;
            }
        }

        return [.. opening.DonatedSince().GroupBy(r => names.GetValueOrDefault(r.Registration)).Select(g => new Donation(g.Key, Books.Sum(g))).OrderByDescending(d => d.Cycles)];
    }

    private static string? NameOf(ServiceEntry* entry) =>
        (ServiceState)Volatile.Read(ref *(uint*)&entry->State) is ServiceState.Disabled or ServiceState.Enabled
            ? Encoding.UTF8.GetString(entry->Name, Math.Clamp(entry->NameLengthBytes, 0, ServiceEntry.NameCapacityBytes))
            : null;
}
