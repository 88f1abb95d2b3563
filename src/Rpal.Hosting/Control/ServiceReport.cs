using System.Text;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Control;

/// <summary>The directory's services and their receivers, read where members write them: everything is checked before it is used.</summary>
internal static unsafe class ServiceReport
{
    /// <param name="memberOf">The member's name by slot, or null.</param>
    public static List<ServiceInfo> Read(Func<int, string?> memberOf)
    {
        List<ServiceInfo> services = [];
        for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
        {
            ServiceEntry* e = FamilyHeader.Service(i);
            ServiceState state = (ServiceState)Volatile.Read(ref *(uint*)&e->State);
            int slot = e->Member;
            if (state is ServiceState.Disabled or ServiceState.Enabled && (uint)slot < FamilyLayout.MemberCapacity)
            {
                string name = Encoding.UTF8.GetString(e->Name, Math.Clamp(e->NameLengthBytes, 0, ServiceEntry.NameCapacityBytes));
                services.Add(One(e, name, memberOf(slot) ?? $"slot {slot}", state, slot));
            }
        }

        return services;
    }

    /// <remarks>Columns to come from the time accounts: calls, donated cycles; and the lazy switches by cause.</remarks>
    private static ServiceInfo One(ServiceEntry* e, string name, string member, ServiceState state, int slot)
    {
        int[] counts = new int[(int)ReceiverState.Dead + 1];
        ulong lazy = 0, inPlace = 0, evictions = 0;
        int count = Math.Clamp(e->ReceiverCount, 0, FamilyLayout.ReceiversPerService);
        for (int i = 0; i < count; i++)
        {
            long address = Volatile.Read(ref e->Receivers[i]), first = (long)MemberBlock.Receiver(slot, 0);
            long offset = address - first;
            if (offset < 0 || offset >= (long)FamilyLayout.ReceiverCapacity * ReceiverBlock.SizeBytes || offset % ReceiverBlock.SizeBytes != 0)
            {
                continue;
            }

            ReceiverBlock* r = (ReceiverBlock*)address;
            counts[Math.Min(Volatile.Read(ref *(uint*)&r->State), (uint)ReceiverState.Dead)]++;
            lazy += r->LazySwitches;
            inPlace += r->InPlaceCalls;
            evictions += r->Evictions;
        }

        int Of(ReceiverState s) => counts[(int)s];
        return new ServiceInfo(name, member, state == ServiceState.Enabled ? "enabled" : "disabled",
            new ReceiverCounts(Of(ReceiverState.Ready), Of(ReceiverState.Foreign), Of(ReceiverState.Own), Of(ReceiverState.Dead), Of(ReceiverState.Init) + Of(ReceiverState.Stopped)),
            (long)lazy, (long)inPlace, (long)evictions, (int)e->Waiters);
    }
}
