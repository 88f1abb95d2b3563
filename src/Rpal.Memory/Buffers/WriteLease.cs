using Rpal.Memory.Parties;

namespace Rpal.Memory.Buffers;

/// <summary>A buffer that this process may write until the lease ends, and no other may see. Stack-only: it cannot outlive the method or cross an await. Use it with <c>using</c>. A copy is the same lease, and ends with it.</summary>
public ref struct WriteLease
{
    private readonly Take _take;
    private OwnedBuffer? _buffer;

    internal WriteLease(OwnedBuffer buffer, scoped in Take take) => (_buffer, _take) = (buffer, take);

    /// <summary>The content, as the last writer left it. Empty when there is no lease.</summary>
    public readonly Span<byte> Bytes => IsHeld ? _buffer!.Bytes : default;

    /// <summary>Whether the last writer died inside or abandoned it: what is found may be half-written. Ends with this lease, unless it is abandoned too.</summary>
    public readonly bool IsTorn => _take.Word.IsTorn;

    /// <summary>See <see cref="ReadLease.Version"/>.</summary>
    public readonly int Version => _take.Word.Version;

    /// <summary>Gives it back; the content is complete.</summary>
    /// <returns>Released; Corrupt: somebody wrote over the shared header, and others may have had the buffer at the same time.</returns>
    /// <exception cref="ObjectDisposedException">There is no lease, or it has ended.</exception>
    public BufferStatus Unlock() => End(complete: true);

    /// <summary>Gives it back with the content marked torn.</summary>
    /// <inheritdoc cref="Unlock"/>
    public BufferStatus Abandon() => End(complete: false);

    /// <summary>Makes it a peer's write lease, which nobody else can come before. Ends here, unless the peer is gone.</summary>
    /// <param name="to">Who picks it up with <see cref="OwnedBuffer.TryAccept"/>; from <see cref="Segments.Segment.Self"/> there. If it dies before, the buffer is free and not torn.</param>
    /// <returns>HandedOver; PeerGone: the lease is still the caller's; Corrupt: as <see cref="Unlock"/>.</returns>
    /// <exception cref="ObjectDisposedException">There is no lease, or it has ended.</exception>
    public BufferStatus HandOver(Party to)
    {
        OwnedBuffer buffer = IsHeld ? _buffer! : throw new ObjectDisposedException(nameof(WriteLease));
        BufferStatus status = buffer.HandOver(_take, to);
        _buffer = status == BufferStatus.PeerGone ? buffer : null;
        return status;
    }

    private readonly bool IsHeld => _buffer is not null && _buffer.IsHeld(_take);

    /// <summary>Gives it back, if it was not yet; the content is complete.</summary>
    public void Dispose()
    {
        OwnedBuffer? buffer = _buffer;
        _buffer = null;
        buffer?.ReleaseIfHeld(_take);
    }

    private BufferStatus End(bool complete)
    {
        OwnedBuffer buffer = IsHeld ? _buffer! : throw new ObjectDisposedException(nameof(WriteLease));
        _buffer = null;
        return buffer.ReleaseAndTell(_take, complete);
    }
}
