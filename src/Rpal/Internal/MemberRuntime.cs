using System.Diagnostics;
using Rpal.Linux;
using Rpal.Machine.Accounting;
using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>This process as a member: found through the auxiliary vector, attached at the first use.</summary>
internal static unsafe class MemberRuntime
{
    private const long AgentLookNs = 100_000_000;
    private static readonly TimeSpan s_agentStartLimit = TimeSpan.FromSeconds(30);
    private static readonly Lock s_lock = new();
    private static readonly FamilyMembership s_membership = Find(out s_member, out s_hostAbi);
    private static readonly MemberBlock* s_member;
    private static readonly uint s_hostAbi;
    private static OpeningBalance? s_opening;
    private static bool s_claimed, s_agentStarted, s_attached;

    public static FamilyMembership Membership => s_membership;

    public static MemberBlock* Member => s_member;

    public static FamilyHeader* Header => FamilyHeader.At;

    /// <summary>What this process has donated, and not an earlier one in its slot. Nothing before it is attached.</summary>
    public static IEnumerable<Books.Row> Donated => s_opening?.DonatedSince() ?? [];

    public static string Explain() => s_membership switch
    {
        FamilyMembership.Member => $"Member {s_member->Index} of the family of host process {Header->HostPid}.",
        FamilyMembership.VersionMismatch => $"The family's host uses memory layout {s_hostAbi}, this program's Rpal library {FamilyLayout.AbiVersion}. Use the same version of Rpal for both.",
        _ => "This process is not in a family: 'rpal run' did not start it itself, so no other process shares its address space. Start it with: "
            + "rpal run PROGRAM ARGS -- OTHER ARGS. What a member starts or execs is no member: name the program itself, "
            + "not a script or shell that execs it.",
    };

    /// <summary>Makes this process able to call and to be called. Nothing happens to a program that never asks for it.</summary>
    /// <exception cref="RpalException">Not a member, or the host does not answer.</exception>
    public static void Attach()
    {
        if (Volatile.Read(ref s_attached))
        {
            return;
        }

        if (s_membership != FamilyMembership.Member)
        {
            throw new RpalException(s_membership == FamilyMembership.NotInFamily ? RpalError.NotInFamily : RpalError.VersionMismatch, Explain());
        }

        lock (s_lock)
        {
            if (s_attached)
            {
                return;
            }

            Claim();
            StartAgent();
            AwaitAgent();
            nint r = Ask(HostCall.Attach);
            if (r < 0)
            {
                throw new RpalException(RpalError.Unsupported, $"The family's host did not take over this process's signal actions: {ErrnoText.Describe((int)r)}.");
            }

            s_opening = new OpeningBalance(s_member->Index);     // before this process can call
            Volatile.Write(ref s_attached, true);
            FamilyMeter.Start();                                 // listeners may run here, and use what is attached
        }
    }

    /// <summary>Comes back: this code, in a second copy. Blocks, receivers and the agent are handed out from statics, so two copies would
    /// hand out the same.</summary>
    private static void Claim()
    {
        if (!s_claimed && Interlocked.CompareExchange(ref s_member->Library, 1, 0) != 0)
        {
            throw new RpalException(RpalError.Unsupported,
                "Another copy of the Rpal library serves this process already (a second AssemblyLoadContext, a plug-in of its own). "
                + "Load Rpal once, in the default context, and share it.");
        }

        s_claimed = true;
    }

    /// <summary>Once: an attach that failed is tried again, and two agents would take each other's calls.</summary>
    private static void StartAgent()
    {
        if (!s_agentStarted)
        {
            s_member->AgentMask = ~LibcSignals();
            new Thread(RunAgent) { IsBackground = true, Name = "rpal agent" }.UnsafeStart();
            s_agentStarted = true;
        }
    }

    /// <summary>
    /// What libc sends to each thread, and waits until each has taken it: setuid(2) and the like. In a process whose host refuses to change
    /// ids, the agent
    /// may wait there for the host while the host waits for the agent, as long as that has patience.
    /// </summary>
    private static ulong LibcSignals()
    {
        const int firstRealTime = 32;
        return (1ul << Sys.Sigrtmin() - firstRealTime) - 1 << firstRealTime - 1;
    }

    /// <summary>A call to the host.</summary>
    /// <returns>Its answer, or -errno; -EINVAL from the kernel itself when there is no host.</returns>
    public static nint Ask(HostCall call, nint a = 0, nint b = 0) => Sys.Invoke(SyscallNumber.RtSigaction, (int)call, a, b, sizeof(ulong));

    /// <summary>A starting thread maps memory, which the host does for us; it cannot while it waits for that very thread.</summary>
    private static void AwaitAgent()
    {
        uint* ready = &s_member->AgentReady;
        for (long begin = Stopwatch.GetTimestamp(); Volatile.Read(ref *ready) == 0;)
        {
            if (Stopwatch.GetElapsedTime(begin) > s_agentStartLimit)
            {
                throw new RpalException(RpalError.Unsupported, $"The thread 'rpal agent' did not start within {s_agentStartLimit.TotalSeconds} s.");
            }

            _ = Sys.FutexWait(ready, 0, AgentLookNs);
        }
    }

    private static void RunAgent() => ((delegate* unmanaged<MemberBlock*, void>)Header->Address(Routine.Agent))(s_member);

    private static FamilyMembership Find(out MemberBlock* member, out uint hostAbi)
    {
        hostAbi = 0;
        member = (MemberBlock*)Sys.GetAuxiliaryValue(FamilyLayout.AuxiliaryVectorType);
        byte resident;
        if (member is null || Sys.Mincore((nint)member & ~4095, 4096, &resident) < 0 || member->Magic != FamilyLayout.Magic || member->Pid != Sys.GetPid())
        {
            member = null;
            return FamilyMembership.NotInFamily;
        }

        hostAbi = member->AbiVersion;
        return hostAbi == FamilyLayout.AbiVersion ? FamilyMembership.Member : FamilyMembership.VersionMismatch;
    }
}
