using System.Globalization;
using System.Runtime.CompilerServices;
using Rpal.Memory.Buffers.Guards;
using Rpal.Memory.Parties;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Buffers;

/// <summary>
/// Bytes in a segment that several processes use by turns: mapped once in each, with one writer or several readers at a time. Taking it is an exchange of one
/// word; nothing is mapped, sealed or copied for a transfer.
/// </summary>
/// <remarks>
/// <para>No fairness: readers that overlap without a gap keep a writer out. A party that dies while it has the buffer loses it as soon as somebody finds it in the way; what
/// a dead writer left is marked torn.</para>
/// <para>A process that does not keep the rules can write anything at any time, here as in any memory that it can write: copy out what must not change while it is looked at.</para>
/// <para>Thread-safe. Source: seed 003.</para>
/// </remarks>
public sealed unsafe class OwnedBuffer
{
    /// <summary>Guarded buffers from this length on are moved instead of protected (<see cref="GuardMeans"/>), unless the segment has reserved huge pages: where both cost the same, as measured.</summary>
    public const int MoveFromBytes = 128 * 1024;

    /// <summary>Leases to read one buffer that there can be at the same time, in all processes.</summary>
    public const int ReaderCapacity = LockWord.ReaderBits;

    /// <summary>Longest wait that can be asked for.</summary>
    public static readonly TimeSpan TimeoutLimit = TimeSpan.FromDays(1);

    private const long PageBytes = 4096, LargePageBytes = SegmentAddress.Alignment;

    private readonly BufferLock _lock;
    private readonly BufferGuard? _guard;
    private readonly Part _part;
    private readonly Action _look;

    /// <summary>Which leases this object has given out and not got back: by reader's seat, the writer's last. A lease is a value, and `using` disposes of a copy: only the first of its ends counts.</summary>
    private readonly ulong[] _held = new ulong[LockWord.ReaderBits + 1];
    private long _nextLookMs;

    private OwnedBuffer(Part part, BufferHeader* header, in BufferHeader read)
    {
        (_part, LengthBytes) = (part, (int)read.LengthBytes);
        _lock = new BufferLock(header, part.Segment.Self, part.Segment.GateOf(part));
        _guard = (BufferLevel)read.Level == BufferLevel.Checked ? null : Guarding.For(part, read, &header->Word);
        Level = _guard is null ? BufferLevel.Checked : _guard is KeyGuard ? BufferLevel.GuardedByKeys : BufferLevel.Guarded;
        _look = LookForDead;
        Means = _guard is MoveGuard ? GuardMeans.Move : _guard is ProtectGuard ? GuardMeans.Protect : GuardMeans.Cheapest;
    }

    /// <summary>Its number in the segment, by which others open it.</summary>
    public int PartIndex => _part.Index;

    /// <summary>Its length.</summary>
    public int LengthBytes { get; }

    /// <summary>What becomes of an access outside a lease in this process. Another one may guard it by other means (<see cref="OwnedBufferOptions.FallBack"/>).</summary>
    public BufferLevel Level { get; }

    /// <summary>How this process guards it, if it does so by system calls.</summary>
    public GuardMeans Means { get; }

    /// <summary>How often this object found in the shared header what makes no sense: somebody writes over it, or a lease was given back twice.</summary>
    public long CorruptCount => _lock.CorruptCount;

    /// <summary>Whether a writer died inside, and none has completed since.</summary>
    public bool IsTorn
    {
        get
        {
            _part.Segment.ThrowIfClosed();
            return _lock.Word.IsTorn;
        }
    }

    /// <summary>Why there are no protection keys for <see cref="BufferLevel.GuardedByKeys"/>; null when there are.</summary>
    public static string? KeysMissing => KeyGuard.Missing();

    internal BufferLock Lock => _lock;

    /// <summary>Makes a buffer of zero bytes.</summary>
    /// <param name="segment">Where.</param>
    /// <param name="lengthBytes">1 or more; the buffer takes whole pages of the segment and one for its header, of 2 MiB where that is needed to guard it.</param>
    /// <param name="options">How.</param>
    /// <exception cref="OwnedBufferException">BadArgument; NoKeys; KernelRefused.</exception>
    /// <exception cref="SegmentException">Full.</exception>
    public static OwnedBuffer Create(Segment segment, int lengthBytes, OwnedBufferOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(segment);
        options ??= new OwnedBufferOptions();
        if (lengthBytes <= 0 || !Enum.IsDefined(options.Level) || !Enum.IsDefined(options.Means))
        {
            throw new OwnedBufferException(OwnedBufferError.BadArgument, $"A buffer of {lengthBytes} bytes, {options.Level}, {options.Means}: it must be 1 to {int.MaxValue} bytes, and the options named ones.");
        }

        BufferLevel level = options.Level;
        if (level == BufferLevel.GuardedByKeys && KeysMissing is { } why)
        {
            level = options.FallBack ? BufferLevel.Guarded : throw new OwnedBufferException(OwnedBufferError.NoKeys, $"A buffer guarded by protection keys: {why}. Use BufferLevel.Guarded, or have it used where there are none (OwnedBufferOptions.FallBack).");
        }

        GuardMeans means = options.Means != GuardMeans.Cheapest ? options.Means
            : lengthBytes >= MoveFromBytes && segment.Pages != PageKind.Huge ? GuardMeans.Move : GuardMeans.Protect;
        bool isLarge = level != BufferLevel.Checked && (segment.Pages == PageKind.Huge || level == BufferLevel.Guarded && means == GuardMeans.Move);
        long page = isLarge ? LargePageBytes : PageBytes, room = (lengthBytes + page - 1) / page * page;
        Part made = segment.Add(PartKind.OwnedBuffer, room + BufferHeader.AreaBytes, page, part => *HeaderOf(part) = new BufferHeader
        {
            Magic = BufferHeader.ExpectedMagic,
            Level = (uint)level,
            Means = (uint)means,
            LengthBytes = lengthBytes,
            RoomBytes = room,
            FallBack = options.FallBack ? 1u : 0,
        });
        return Open(segment, made.Index);
    }

    /// <summary>Opens a buffer that this or another process has made.</summary>
    /// <param name="segment">Where.</param>
    /// <param name="partIndex">See <see cref="PartIndex"/>.</param>
    /// <exception cref="OwnedBufferException">BadHeader; NoKeys; KernelRefused.</exception>
    /// <exception cref="SegmentException">NoSuchPart.</exception>
    public static OwnedBuffer Open(Segment segment, int partIndex)
    {
        ArgumentNullException.ThrowIfNull(segment);
        Part part = segment.Find(partIndex, PartKind.OwnedBuffer);
        BufferHeader* header = TryHeaderOf(part);
        BufferHeader read = header is null ? default : *header;  // one copy: others may write to it meanwhile
        segment.ThrowIfClosed();                                 // what was read may be the tombstone's zeroes
        bool isTrue = read.Magic == BufferHeader.ExpectedMagic && read.RoomBytes == part.LengthBytes - BufferHeader.AreaBytes && read.LengthBytes is > 0 and <= int.MaxValue
            && read.LengthBytes <= read.RoomBytes && read.Level <= (uint)BufferLevel.GuardedByKeys && read.Means is (uint)GuardMeans.Protect or (uint)GuardMeans.Move;
        return isTrue ? new OwnedBuffer(part, header, read) : throw new OwnedBufferException(OwnedBufferError.BadHeader,
            $"Part {partIndex} of {part.LengthBytes} bytes at {part.Offset} has no true buffer's header: magic 0x{read.Magic:x}, level {read.Level}, means {read.Means}, {read.LengthBytes} bytes in {read.RoomBytes}. Somebody wrote over it.");
    }

    /// <summary>Takes it for reading, or says at once why not.</summary>
    /// <param name="lease">The lease, if <see cref="BufferStatus.Taken"/>.</param>
    /// <param name="alone">Whether no other may read at the same time.</param>
    /// <returns>Taken, HeldByWriter, HeldByReaders, TooManyReaders, Corrupt.</returns>
    public BufferStatus TryLockRead(out ReadLease lease, bool alone = false) => Read(Try(alone ? LeaseKind.ReadAlone : LeaseKind.Read, out Take take), take, out lease);

    /// <summary>Takes it for writing, or says at once why not.</summary>
    /// <param name="lease">The lease, if <see cref="BufferStatus.Taken"/>.</param>
    /// <returns>Taken, HeldByWriter, HeldByReaders, Corrupt.</returns>
    public BufferStatus TryLockWrite(out WriteLease lease) => Write(Try(LeaseKind.Write, out Take take), take, out lease);

    /// <summary>Picks up a write lease that a peer handed to this process (<see cref="WriteLease.HandOver"/>).</summary>
    /// <param name="lease">The lease, if <see cref="BufferStatus.Taken"/>.</param>
    /// <returns>Taken, NotHandedOver, Corrupt.</returns>
    public BufferStatus TryAccept(out WriteLease lease) => Write(_lock.Try(LeaseKind.Accept, out Take take), take, out lease);

    /// <summary>As <see cref="TryLockRead"/>, waiting up to <paramref name="timeout"/>.</summary>
    /// <param name="timeout">0 to <see cref="TimeoutLimit"/>.</param>
    /// <param name="lease">The lease, if <see cref="BufferStatus.Taken"/>.</param>
    /// <param name="alone">Whether no other may read at the same time.</param>
    /// <returns>As the last attempt.</returns>
    public BufferStatus LockRead(TimeSpan timeout, out ReadLease lease, bool alone = false) =>
        Read(_lock.Lock(alone ? LeaseKind.ReadAlone : LeaseKind.Read, Milliseconds(timeout), _look, out Take take), take, out lease);

    /// <summary>As <see cref="TryLockWrite"/>, waiting up to <paramref name="timeout"/>.</summary>
    /// <inheritdoc cref="LockRead" path="/param"/>
    /// <returns>As the last attempt.</returns>
    public BufferStatus LockWrite(TimeSpan timeout, out WriteLease lease) => Write(_lock.Lock(LeaseKind.Write, Milliseconds(timeout), _look, out Take take), take, out lease);

    /// <summary>As <see cref="TryAccept"/>, waiting up to <paramref name="timeout"/>.</summary>
    /// <inheritdoc cref="LockRead" path="/param"/>
    /// <returns>As the last attempt.</returns>
    public BufferStatus Accept(TimeSpan timeout, out WriteLease lease) => Write(_lock.Lock(LeaseKind.Accept, Milliseconds(timeout), _look, out Take take), take, out lease);

    /// <summary>Who has it, for messages: "nobody", "party 3 (process 4711, orders) writes, thread 4715".</summary>
    public string DescribeHolder()
    {
        _part.Segment.ThrowIfClosed();
        LockWord word = _lock.Word;
        PartyTable parties = _part.Segment.Parties;
        if (!word.IsSane)
        {
            return $"nobody that can be known: the lock's word is 0x{word.Value:x}";
        }

        if (word.Writer >= 0)
        {
            return word.WriterThread == 0 ? $"{parties.Describe(word.Writer)}, to which it was handed over and which has not picked it up" : $"{parties.Describe(word.Writer)} writes, thread {word.WriterThread}";
        }

        List<string> readers = [];
        for (int seat = 0; seat < LockWord.ReaderBits; seat++)
        {
            ulong owner = word.HasReader(seat) ? _lock.SeatOwner(seat) : 0;
            if (owner != 0)
            {
                readers.Add(string.Create(CultureInfo.InvariantCulture, $"{parties.Describe(ReaderSeat.PartyOf(owner))} reads{(word.IsExclusive ? " alone" : "")}, thread {ReaderSeat.ThreadOf(owner)}"));
            }
        }

        return readers.Count == 0 ? "nobody" : string.Join("; ", readers);
    }

    /// <summary>Gives back what a dead party had. Also for buffers that this process does not use: from the part alone.</summary>
    internal static void Recover(Part part, int deadParty)
    {
        BufferHeader* header = TryHeaderOf(part);
        if (header is not null && Volatile.Read(ref header->Magic) == BufferHeader.ExpectedMagic)
        {
            new BufferLock(header, part.Segment.Self, new StrongBox<int>()).Recover(deadParty);
        }
    }

    internal Span<byte> Bytes => new(_part.Address, LengthBytes);

    /// <summary>Whether a lease, or a copy of it, has not ended.</summary>
    internal bool IsHeld(in Take take) => Volatile.Read(ref Held(take)) == take.Owner && !_part.Segment.IsClosed;

    /// <summary>Ends a lease that <see cref="IsHeld"/>.</summary>
    internal BufferStatus Release(in Take take, bool complete)
    {
        Held(take) = 0;
        BufferStatus status = take.Seat >= 0 ? _lock.ReleaseRead(take) : _lock.ReleaseWrite(take, complete);
        _guard?.Leave();                                         // in the seed's order: others go on meanwhile
        GC.KeepAlive(_part.Segment);                             // its memory goes with the last reference to it
        return status;
    }

    /// <summary>Ends a lease, if it has not ended. Of one that closing the segment has ended, only the thread's own rights are left to take
    /// back: a key that guarded the bytes guards others soon.</summary>
    internal void ReleaseIfHeld(in Take take)
    {
        if (IsHeld(take))
        {
            _ = Release(take, complete: true);
        }
        else if (Interlocked.CompareExchange(ref Held(take), 0, take.Owner) == take.Owner)
        {
            _guard?.Leave();
        }
    }

    /// <summary>As <see cref="Release"/>, and says when closing the segment has ended the lease instead.</summary>
    internal BufferStatus ReleaseAndTell(in Take take, bool complete)
    {
        BufferStatus status = Release(take, complete);
        _part.Segment.ThrowIfClosed();
        return status;
    }

    internal BufferStatus HandOver(in Take take, Party to)
    {
        PartyTable parties = _part.Segment.Parties;
        if (!parties.IsEntered(to))
        {
            _part.Segment.ThrowIfClosed();                       // what was read may be the tombstone's zeroes
            return BufferStatus.PeerGone;
        }

        Held(take) = 0;                                          // before: from then on another thread of ours may get it back
        BufferStatus status = _lock.HandOver(take, to);

        // It may have left or been cleared away before its name stood in the word: then nobody would clear it away for that.
        if (status == BufferStatus.HandedOver && !parties.IsEntered(to) && _lock.TakeBack(take, to))
        {
            Held(take) = take.Owner;
            return BufferStatus.PeerGone;
        }

        _guard?.Leave();
        _part.Segment.ThrowIfClosed();                           // then it may have gone nowhere
        return status;
    }

    private ref ulong Held(in Take take) => ref _held[take.Seat >= 0 ? take.Seat : LockWord.ReaderBits];

    private static BufferHeader* HeaderOf(Part part) => (BufferHeader*)(part.Address + part.LengthBytes - BufferHeader.AreaBytes);

    private static BufferHeader* TryHeaderOf(Part part) =>
        part.LengthBytes >= BufferHeader.AreaBytes + PageBytes && part.LengthBytes % PageBytes == 0 && part.Offset % PageBytes == 0 ? HeaderOf(part) : null;

    private static long Milliseconds(TimeSpan timeout) => timeout >= TimeSpan.Zero && timeout <= TimeoutLimit ? (long)Math.Ceiling(timeout.TotalMilliseconds)
        : throw new OwnedBufferException(OwnedBufferError.BadArgument, $"Waiting for {timeout}: it must be 0 to {TimeoutLimit} (OwnedBuffer.TimeoutLimit). Without a bound nobody waits.");

    /// <summary>One attempt; when the buffer is not to be had, it is looked at most once in a slice whether its holder has died.</summary>
    private BufferStatus Try(LeaseKind kind, out Take take)
    {
        BufferStatus status = _lock.Try(kind, out take);
        if (status is BufferStatus.Taken or BufferStatus.Corrupt)
        {
            return status;
        }

        long now = Environment.TickCount64, next = Volatile.Read(ref _nextLookMs);
        if (now < next || Interlocked.CompareExchange(ref _nextLookMs, now + BufferLock.SliceMs, next) != next)
        {
            return status;
        }

        LookForDead();
        status = _lock.Try(kind, out take);
        GC.KeepAlive(_part.Segment);
        return status;
    }

    /// <summary>Clears away whoever is in the way and dead.</summary>
    private void LookForDead()
    {
        _part.Segment.ThrowIfClosed();                           // whoever waits finds it here
        LockWord word = _lock.Word;
        PartyTable parties = _part.Segment.Parties;
        if (word.Writer >= 0)
        {
            ClearAway(parties, word.Writer);
            _lock.FreeStray(parties.GenerationOf);
            return;
        }

        for (int seat = 0; seat < LockWord.ReaderBits; seat++)
        {
            ulong owner = _lock.SeatOwner(seat);
            if (owner != 0)
            {
                ClearAway(parties, ReaderSeat.PartyOf(owner));
            }
        }

        _lock.ClearOrphans();
        GC.KeepAlive(_part.Segment);
    }

    private static void ClearAway(PartyTable parties, int party)
    {
        if (parties.IsAlive(party))
        {
            return;
        }

        try
        {
            _ = parties.ClearAwayIfDead(party);
        }
        catch (SegmentException e) when (e.Error == SegmentError.RecoveryBusy)
        {
            // Another process is at it, and slow: the attempt fails as if the holder lived, and a later one looks again.
        }
    }

    private BufferStatus Read(BufferStatus status, scoped in Take take, out ReadLease lease)
    {
        lease = status == BufferStatus.Taken ? new ReadLease(this, take) : default;
        Open(status, take, write: false);
        return status;
    }

    private BufferStatus Write(BufferStatus status, scoped in Take take, out WriteLease lease)
    {
        lease = status == BufferStatus.Taken ? new WriteLease(this, take) : default;
        Open(status, take, write: true);
        return status;
    }

    private void Open(BufferStatus status, scoped in Take take, bool write)
    {
        _part.Segment.ThrowIfClosed();                           // also what was taken while it was being closed: that has been given back
        if (status != BufferStatus.Taken)
        {
            return;
        }

        Held(take) = take.Owner;
        if (_guard is null)
        {
            return;
        }

        try
        {
            _guard.Enter(write);
        }
        catch (Exception e) when (e is OwnedBufferException or ObjectDisposedException)
        {
            Held(take) = 0;
            _ = take.Seat >= 0 ? _lock.ReleaseRead(take) : _lock.ReleaseWrite(take, complete: !take.Word.IsTorn);
            GC.KeepAlive(_part.Segment);
            throw;
        }
    }
}
