using System.Text;
using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>What a service's name must be, wherever one is given.</summary>
internal static class ServiceName
{
    /// <exception cref="ArgumentException">Empty, or longer than any service's name can be: nobody could ever have registered it.</exception>
    public static void Check(string name, string parameter)
    {
        ArgumentException.ThrowIfNullOrEmpty(name, parameter);
        int bytes = Encoding.UTF8.GetByteCount(name);
        if (bytes > RpalService.NameBytesLimit)
        {
            throw new ArgumentOutOfRangeException(parameter, name, $"A service's name has 1 to {RpalService.NameBytesLimit} bytes in UTF-8 ({nameof(RpalService)}.{nameof(RpalService.NameBytesLimit)}), and this one has {bytes}.");
        }
    }

    /// <summary>"member 'adder', process 4711" for whoever has the service now; null when nobody has it any more. The name is the one that ps shows: its first 15 characters.</summary>
    public static unsafe string? Owner(string service)
    {
        byte[] name = Encoding.UTF8.GetBytes(service);
        for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
        {
            ServiceEntry* e = FamilyHeader.Service(i);
            if ((ServiceState)Volatile.Read(ref *(uint*)&e->State) is ServiceState.Disabled or ServiceState.Enabled
                && name.AsSpan().SequenceEqual(new(e->Name, Math.Clamp(e->NameLengthBytes, 0, ServiceEntry.NameCapacityBytes))))
            {
                int pid = MemberBlock.At(Math.Clamp(e->Member, 0, FamilyLayout.MemberCapacity - 1))->Pid;
                return pid == Environment.ProcessId ? "this process itself" : $"member {CommandOf(pid)}process {pid}";
            }
        }

        return null;
    }

    private static string CommandOf(int pid)
    {
        try
        {
            return $"'{File.ReadAllText($"/proc/{pid}/comm").TrimEnd()}', ";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";                                           // ended meanwhile
        }
    }
}
