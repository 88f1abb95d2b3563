namespace Rpal.Memory.Buffers;

/// <summary>A buffer that this process may read until the lease ends. Stack-only: it cannot outlive the method or cross an await. Use it with <c>using</c>. A copy is the same lease, and ends with it.</summary>
public ref struct ReadLease
{
    private readonly Take _take;
    private OwnedBuffer? _buffer;

    internal ReadLease(OwnedBuffer buffer, scoped in Take take) => (_buffer, _take) = (buffer, take);

    /// <summary>The content. Empty when there is no lease.</summary>
    public readonly ReadOnlySpan<byte> Bytes => IsHeld ? _buffer!.Bytes : default;

    /// <summary>Whether the last writer died inside or abandoned it: the content may be half-written.</summary>
    public readonly bool IsTorn => _take.Word.IsTorn;

    /// <summary>Counts write leases, 0 to 1023 and again: other content has another number, unless over a thousand were in between.</summary>
    public readonly int Version => _take.Word.Version;

    /// <summary>Gives it back.</summary>
    /// <returns>Released; Corrupt: somebody wrote over the shared header, and others may have had the buffer at the same time.</returns>
    /// <exception cref="ObjectDisposedException">There is no lease, or it has ended.</exception>
    public BufferStatus Unlock()
    {
        OwnedBuffer buffer = IsHeld ? _buffer! : throw new ObjectDisposedException(nameof(ReadLease));
        _buffer = null;
        return buffer.ReleaseAndTell(_take, complete: true);
    }

    private readonly bool IsHeld => _buffer is not null && _buffer.IsHeld(_take);

    /// <summary>Gives it back, if it was not yet.</summary>
    public void Dispose()
    {
        OwnedBuffer? buffer = _buffer;
        _buffer = null;
        buffer?.ReleaseIfHeld(_take);
    }
}
