using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Broker;

/// <summary>The family's services by name. Only the host writes it, so a member that dies can leave no lock behind.</summary>
internal sealed unsafe class ServiceDirectory
{
    private readonly Lock _lock = new();
    private readonly int _hostPid = Environment.ProcessId;
    private ulong _registrations;

    /// <summary>A service has another state. Raised with the directory locked.</summary>
    public event Action? Changed;

    /// <summary>Whether that member has that service enabled.</summary>
    public bool IsEnabled(string service, int member)
    {
        Span<byte> name = stackalloc byte[ServiceEntry.NameCapacityBytes];
        if (!System.Text.Encoding.UTF8.TryGetBytes(service, name, out int length))
        {
            return false;
        }

        lock (_lock)
        {
            for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
            {
                ServiceEntry* e = FamilyHeader.Service(i);
                if (e->State == ServiceState.Enabled && e->Member == member && name[..length].SequenceEqual(new(e->Name, Math.Clamp(e->NameLengthBytes, 0, ServiceEntry.NameCapacityBytes))))
                {
                    return true;
                }
            }
        }

        return false;
    }

    /// <returns>The service's index, or -EEXIST the name is taken, -ENOSPC <see cref="FamilyLayout.ServiceCapacity"/> reached, -EINVAL, -EFAULT.</returns>
    public nint Register(int member, nint request)
    {
        RegisterServiceRequest r;
        byte* name = stackalloc byte[ServiceEntry.NameCapacityBytes];
        if (Sys.ProcessVmReadv(_hostPid, request, &r, RegisterServiceRequest.SizeBytes) != RegisterServiceRequest.SizeBytes)
        {
            return -(int)Errno.EFAULT;
        }

        int length = r.NameLengthBytes;
        if (length is <= 0 or > ServiceEntry.NameCapacityBytes)
        {
            return -(int)Errno.EINVAL;
        }

        if (Sys.ProcessVmReadv(_hostPid, (nint)r.Name, name, (nuint)length) != length)
        {
            return -(int)Errno.EFAULT;
        }

        ReadOnlySpan<byte> wanted = new(name, length);
        lock (_lock)
        {
            int free = -1;
            for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
            {
                ServiceEntry* e = FamilyHeader.Service(i);
                if (e->State == ServiceState.Free)
                {
                    free = free < 0 ? i : free;
                }
                else if (e->State != ServiceState.Gone && wanted.SequenceEqual(new(e->Name, Math.Clamp(e->NameLengthBytes, 0, ServiceEntry.NameCapacityBytes))))
                {
                    return -(int)Errno.EEXIST;
                }
            }

            if (free < 0)
            {
                return -(int)Errno.ENOSPC;
            }

            ServiceEntry* entry = FamilyHeader.Service(free);
            wanted.CopyTo(new(entry->Name, ServiceEntry.NameCapacityBytes));
            entry->NameLengthBytes = length;
            entry->Key = r.Key;
            entry->Registration = ++_registrations << 8 | (uint)member;              // before the state: a connection looks at it after
            entry->Member = member;
            entry->ReceiverCount = 0;
            Change(entry, ServiceState.Disabled);
            return free;
        }
    }

    public nint SetState(int member, int index, ServiceState state)
    {
        if ((uint)index >= FamilyLayout.ServiceCapacity || state > ServiceState.Gone)
        {
            return -(int)Errno.EINVAL;
        }

        lock (_lock)
        {
            ServiceEntry* entry = FamilyHeader.Service(index);
            if (entry->Member != member || entry->State == ServiceState.Free || (entry->State == ServiceState.Gone) != (state == ServiceState.Free))
            {
                return -(int)Errno.EPERM;
            }

            Change(entry, state);
            return 0;
        }
    }

    /// <summary>The services of a member whose process is gone, and those who wait for them.</summary>
    public void MemberGone(int member)
    {
        lock (_lock)
        {
            for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
            {
                ServiceEntry* entry = FamilyHeader.Service(i);
                if (entry->State is ServiceState.Disabled or ServiceState.Enabled && entry->Member == member)
                {
                    Change(entry, ServiceState.Gone);
                }
            }
        }
    }

    /// <summary>After the death report: nobody is in the member's receivers any more, so its entries can be used again.</summary>
    public void MemberSwept(int member)
    {
        lock (_lock)
        {
            for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
            {
                ServiceEntry* entry = FamilyHeader.Service(i);
                if (entry->State == ServiceState.Gone && entry->Member == member)
                {
                    Change(entry, ServiceState.Free);
                }
            }
        }
    }

    private void Change(ServiceEntry* entry, ServiceState state)
    {
        Volatile.Write(ref *(uint*)&entry->State, (uint)state);
        Interlocked.Increment(ref entry->ReadySequence);
        _ = Sys.FutexWake(&entry->ReadySequence, int.MaxValue);
        Interlocked.Increment(ref FamilyHeader.At->DirectorySequence);
        _ = Sys.FutexWake(&FamilyHeader.At->DirectorySequence, int.MaxValue);
        Changed?.Invoke();
    }
}
