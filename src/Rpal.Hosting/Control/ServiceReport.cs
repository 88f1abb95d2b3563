using System.Text;
using Rpal.Machine.Accounting;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Control;

/// <summary>The directory's services and their receivers, read where members write them: everything is checked before it is used.</summary>
internal static unsafe class ServiceReport
{
    /// <param name="family">Whose members' threads may wait.</param>
    /// <param name="memberOf">The member's name by slot, or null.</param>
    public static List<ServiceInfo> Read(Family family, Func<int, string?> memberOf)
    {
        Dictionary<nint, int> waiting = Waiting(family);
        Dictionary<ulong, ulong> received = Books.ReceivedByAll();
        List<ServiceInfo> services = [];
        for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
        {
            ServiceEntry* e = FamilyHeader.Service(i);
            ServiceState state = (ServiceState)Volatile.Read(ref *(uint*)&e->State);
            int slot = e->Member;
            if (state is ServiceState.Disabled or ServiceState.Enabled && (uint)slot < FamilyLayout.MemberCapacity)
            {
                string name = Encoding.UTF8.GetString(e->Name, Math.Clamp(e->NameLengthBytes, 0, ServiceEntry.NameCapacityBytes));
                services.Add(One(e, name, memberOf(slot) ?? $"slot {slot}", state, slot, received.GetValueOrDefault(e->Registration), waiting.GetValueOrDefault((nint)e)));
            }
        }

        return services;
    }

    /// <summary>Threads that wait for a receiver, by the service that they wait for.</summary>
    private static Dictionary<nint, int> Waiting(Family family)
    {
        Dictionary<nint, int> waiting = [];
        foreach (int m in family.Members())
        {
            for (int t = 0; t < FamilyLayout.ThreadCapacity && Volatile.Read(ref MemberBlock.Thread(m, t)->Tid) != 0; t++)
            {
                nint service = Volatile.Read(ref *(nint*)&MemberBlock.Thread(m, t)->WaitsFor);
                waiting[service] = waiting.GetValueOrDefault(service) + 1;
            }
        }

        return waiting;
    }

    private static ServiceInfo One(ServiceEntry* e, string name, string member, ServiceState state, int slot, ulong receivedCycles, int waiting)
    {
        int[] counts = new int[(int)ReceiverState.Dead + 1];
        ulong calls = 0, lazy = 0, faults = 0, signals = 0, inPlace = 0, evictions = 0;
        int count = Math.Clamp(e->ReceiverCount, 0, FamilyLayout.ReceiversPerService);
        for (int i = 0; i < count; i++)
        {
            ReceiverBlock* r = BlockAddress.Receiver((nint)Volatile.Read(ref e->Receivers[i]));
            if (r is null || BlockAddress.MemberOf(r) != slot)
            {
                continue;
            }

            counts[Math.Min((byte)Volatile.Read(ref r->StateWord), (byte)ReceiverState.Dead)]++;
            calls += r->Calls;
            lazy += r->LazySwitches;
            faults += r->LazyFaults;
            signals += r->LazySignals;
            inPlace += r->InPlaceCalls;
            evictions += r->Evictions;
        }

        int Of(ReceiverState s) => counts[(int)s];
        return new ServiceInfo(name, member, state == ServiceState.Enabled ? "enabled" : "disabled",
            new ReceiverCounts(Of(ReceiverState.Ready), Of(ReceiverState.Foreign), Of(ReceiverState.Own), Of(ReceiverState.Dead), Of(ReceiverState.Init) + Of(ReceiverState.Stopped)),
            (long)calls, Books.ToTime(receivedCycles).TotalSeconds, (long)lazy, new LazyCauses(Math.Max(0, (long)(lazy - faults - signals)), (long)faults, (long)signals), (long)inPlace, (long)evictions, waiting);
    }
}
