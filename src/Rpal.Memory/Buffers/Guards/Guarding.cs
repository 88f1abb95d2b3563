using System.Runtime.CompilerServices;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Buffers.Guards;

/// <summary>The guards of this process: one per guarded buffer and mapping, however often it was opened.</summary>
internal static unsafe class Guarding
{
    private static readonly Lock s_lock = new();
    private static readonly ConditionalWeakTable<Segment, Dictionary<int, BufferGuard>> s_guards = [];

    /// <summary>The buffer's guard, made on first use; its bytes are closed from then on.</summary>
    /// <param name="part">The buffer's part.</param>
    /// <param name="header">Its header, checked.</param>
    /// <param name="word">The shared lock word.</param>
    /// <exception cref="OwnedBufferException">KernelRefused; NoKeys; BadArgument.</exception>
    public static BufferGuard For(Part part, in BufferHeader header, ulong* word)
    {
        lock (s_lock)
        {
            Dictionary<int, BufferGuard> guards = s_guards.GetValue(part.Segment, static _ => []);
            if (guards.TryGetValue(part.Index, out BufferGuard? guard))
            {
                return guard;
            }

            guard = Make(part, header);
            Use use = Register(guard, part, header, word);
            try
            {
                part.Segment.Attach(use);                        // first: what is closed, or lies elsewhere, must not be forgotten
                if (guard is KeyGuard)
                {
                    GuardedRanges.UseKeys();
                }

                guard.Begin();
            }
            catch
            {
                part.Segment.Detach(use);
                use.OnGone();
                throw;
            }

            guards.Add(part.Index, guard);
            return guard;
        }
    }

    private static Use Register(BufferGuard guard, Part part, in BufferHeader header, ulong* word)
    {
        try
        {
            return new Use(guard, GuardedRanges.Add((nint)part.Address, header.RoomBytes, word, Text(part, header)));
        }
        catch
        {
            guard.End();                                         // a key is one of 15
            throw;
        }
    }

    private static BufferGuard Make(Part part, in BufferHeader header)
    {
        nint address = (nint)part.Address;
        KeyGuard? key = (BufferLevel)header.Level == BufferLevel.GuardedByKeys ? KeyGuard.TryCreate(address, header.RoomBytes) : null;
        if (key is null && (BufferLevel)header.Level == BufferLevel.GuardedByKeys && header.FallBack == 0)
        {
            throw new OwnedBufferException(OwnedBufferError.NoKeys, $"Part {part.Index} is guarded by protection keys, and this process cannot have one ({KeyGuard.Missing()}): make it with FallBack, or with BufferLevel.Guarded.");
        }

        return key ?? ((GuardMeans)header.Means == GuardMeans.Move ? MoveGuard.TryCreate(address, header.RoomBytes) : null) ?? (BufferGuard)new ProtectGuard(address, header.RoomBytes);
    }

    private static string Text(Part part, in BufferHeader header) =>
        $"rpal: buffer {part.Index} of segment {part.Segment.Id:x16}, {header.LengthBytes} bytes at 0x{(long)part.Address:x}, {(BufferLevel)header.Level}, was accessed outside a lease by process {Environment.ProcessId}, party {part.Segment.Self.Number}: it ends here. "
        + "Rule: its bytes are touched only between TryLockRead or TryLockWrite and the lease's end, and written only under a write lease. Holder: ";

    /// <summary>A guard and its entry in the table, until its segment is closed.</summary>
    private sealed class Use(BufferGuard guard, int entry) : ISegmentUser
    {
        private int _isGone;

        public void OnClosing() => guard.Freeze();

        public void OnGone()
        {
            if (Interlocked.Exchange(ref _isGone, 1) == 0)
            {
                guard.End();
                GuardedRanges.Remove(entry);
            }
        }
    }
}
