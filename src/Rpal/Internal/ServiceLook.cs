using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>Reads the family's directory, which the host changes meanwhile.</summary>
/// <remarks>Comes back: an entry, for another service. Its registration is never the same twice.</remarks>
internal static unsafe class ServiceLook
{
    /// <summary>Changes during a look, one after the other, before it takes what it has: the next change is told anyway.</summary>
    private const int Looks = 1000;

    /// <summary>The service that has the name now: Absent, Disabled or Enabled.</summary>
    public static ServiceChange Find(ReadOnlySpan<byte> name)
    {
        ServiceChange found = default;
        for (int look = 0; look < Looks; look++)
        {
            uint before = Volatile.Read(ref FamilyHeader.At->DirectorySequence);
            found = FindOnce(name);
            if (Volatile.Read(ref FamilyHeader.At->DirectorySequence) == before)
            {
                break;
            }
        }

        return found;
    }

    /// <summary>Whether an entry is no longer the registration's.</summary>
    /// <remarks>The state first: an entry that is used again has its new registration before its state.</remarks>
    public static bool IsGone(ServiceEntry* entry, ulong registration) =>
        State(entry) is ServiceState.Gone or ServiceState.Free || Volatile.Read(ref entry->Registration) != registration;

    private static ServiceChange FindOnce(ReadOnlySpan<byte> name)
    {
        for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
        {
            ServiceEntry* e = FamilyHeader.Service(i);
            ServiceState state = State(e);
            if (state is ServiceState.Disabled or ServiceState.Enabled
                && name.SequenceEqual(new(e->Name, Math.Clamp(e->NameLengthBytes, 0, ServiceEntry.NameCapacityBytes))))
            {
                return new(state == ServiceState.Enabled ? ServiceStatus.Enabled : ServiceStatus.Disabled, Volatile.Read(ref e->Registration));
            }
        }

        return new(ServiceStatus.Absent, null);
    }

    private static ServiceState State(ServiceEntry* entry) => (ServiceState)Volatile.Read(ref *(uint*)&entry->State);
}
