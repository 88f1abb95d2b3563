namespace Rpal;

/// <summary>Answers a call whose request and answer are plain values. Both lie in the caller's memory.</summary>
/// <remarks>
/// <para>Request and answer are lent until the handler returns. A handler may hand them on to a call of its own: that process gets
/// copies.</para>
/// <para>A handler leaves nothing behind in its thread: AsyncLocals (culture, principal, activity), synchronization context, name, priority
/// and background are reset when it returns. Thread-statics, a pending interrupt, and what native code changed of the thread stay,
/// as in the thread pool.</para>
/// </remarks>
/// <typeparam name="TRequest">An unmanaged type, the same on both sides.</typeparam>
/// <typeparam name="TAnswer">An unmanaged type, the same on both sides.</typeparam>
/// <param name="request">Read it where the caller has it. The caller waits, but its other threads may write there: copy what you check.</param>
/// <param name="answer">Write it where the caller wants it.</param>
public delegate void CallHandler<TRequest, TAnswer>(in TRequest request, ref TAnswer answer)
    where TRequest : unmanaged
    where TAnswer : unmanaged;

/// <summary>Answers a call whose request and answer are bytes. Both lie in the caller's memory.</summary>
/// <remarks>As <see cref="CallHandler{TRequest, TAnswer}"/>.</remarks>
/// <param name="request">Read it where the caller has it.</param>
/// <param name="answer">Takes the answer.</param>
public delegate void BytesHandler(ReadOnlySpan<byte> request, ref AnswerWriter answer);

/// <summary>Takes an answer of any length up to the room that the caller provided.</summary>
public ref struct AnswerWriter
{
    private readonly Span<byte> _room;

    internal AnswerWriter(Span<byte> room) => _room = room;

    /// <summary>Bytes written so far.</summary>
    public int LengthBytes { get; private set; }

    /// <summary>Room that is left.</summary>
    public readonly Span<byte> Rest => _room[LengthBytes..];

    /// <summary>Appends bytes.</summary>
    /// <param name="bytes">Copied to where the caller wants them.</param>
    /// <exception cref="ArgumentException">They do not fit: the caller gets it as <see cref="RemoteCallException"/>.</exception>
    public void Write(scoped ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > _room.Length - LengthBytes)
        {
            throw new ArgumentException($"An answer of {LengthBytes + bytes.Length} bytes does not fit the {_room.Length} bytes that the caller provided.", nameof(bytes));
        }

        bytes.CopyTo(Rest);
        LengthBytes += bytes.Length;
    }

    /// <summary>Counts bytes that were written to <see cref="Rest"/>.</summary>
    /// <param name="lengthBytes">At most the length of <see cref="Rest"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">More than that, or negative.</exception>
    public void Advance(int lengthBytes)
    {
        if ((uint)lengthBytes > (uint)(_room.Length - LengthBytes))
        {
            throw new ArgumentOutOfRangeException(nameof(lengthBytes), lengthBytes, $"An answer advances by 0 to {_room.Length - LengthBytes} bytes, the length of {nameof(AnswerWriter)}.{nameof(Rest)}, and this is {lengthBytes}.");
        }

        LengthBytes += lengthBytes;
    }
}
