using Rpal.Linux;

namespace Rpal.Hosting.Broker;

/// <summary>The users or groups of a thread's user namespace, as this process numbers them.</summary>
/// <remarks>
/// A number in a system call is one of the calling thread's namespace, a number in /proc one of the reader's. Once written, a map stays as
/// it is. A range of it lies within one range of the parent's, so what is next to each other inside is so here. Comes back: each number, in each
/// namespace, for another user. Source: user_namespaces(7).
/// </remarks>
internal sealed class IdMap
{
    private readonly List<(uint Inside, uint Here, uint Count)> _ranges = [];

    private IdMap()
    {
    }

    /// <summary>Reads the map of a thread's namespace.</summary>
    /// <param name="tid">The thread.</param>
    /// <param name="groups">Groups; else users.</param>
    /// <returns>Its map; null in this process's own namespace, where the numbers are the same.</returns>
    /// <exception cref="IOException">The thread has ended.</exception>
    public static IdMap? Of(int tid, bool groups)
    {
        if (UserNamespace.OfThread(tid) is { } its && its == UserNamespace.Own)
        {
            return null;
        }

        var map = new IdMap();
        foreach (string line in File.ReadLines($"/proc/{tid}/{(groups ? "gid_map" : "uid_map")}"))
        {
            uint[] columns = [.. line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(uint.Parse)];
            map._ranges.Add((columns[0], columns[1], columns[2]));
        }

        return map;
    }

    /// <returns>What this process calls it; null: the namespace has no such number. <see cref="uint.MaxValue"/>: this process has no number
    /// for it.</returns>
    public uint? Here(uint inside)
    {
        foreach ((uint first, uint here, uint count) in _ranges)
        {
            if (inside >= first && inside - first < count)
            {
                return here == uint.MaxValue ? here : here + (inside - first);
            }
        }

        return null;
    }

    /// <returns>What the namespace calls it, as the kernel says it: the overflow number when it has none.</returns>
    public uint Inside(uint number)
    {
        const uint overflow = 65534;                             // /proc/sys/kernel/overflowuid, which nobody changes
        foreach ((uint first, uint here, uint count) in _ranges)
        {
            if (here != uint.MaxValue && number >= here && number - here < count)
            {
                return first + (number - here);
            }
        }

        return overflow;
    }
}
