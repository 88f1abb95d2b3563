using System.Runtime.CompilerServices;
using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>One method of a service: checks the lengths, then runs the user's handler on the caller's memory.</summary>
/// <remarks>Called through its own pointer: one load less than a virtual method, on a path where each is felt.</remarks>
internal abstract unsafe class MethodHandler(delegate*<MethodHandler, CallFrame*, void> invoke)
{
    public readonly delegate*<MethodHandler, CallFrame*, void> Invoke = invoke;
}

internal sealed unsafe class ValueMethod<TRequest, TAnswer>(CallHandler<TRequest, TAnswer> handler) : MethodHandler(&Run)
    where TRequest : unmanaged
    where TAnswer : unmanaged
{
    private readonly CallHandler<TRequest, TAnswer> _handler = handler;

    private static void Run(MethodHandler self, CallFrame* frame)
    {
        if (frame->RequestLengthBytes == sizeof(TRequest) && frame->AnswerCapacityBytes == sizeof(TAnswer))
        {
            Unsafe.As<ValueMethod<TRequest, TAnswer>>(self)._handler(in *(TRequest*)frame->Request, ref *(TAnswer*)frame->Answer);
        }
        else
        {
            bool request = frame->RequestLengthBytes != sizeof(TRequest);
            frame->Detail = request ? sizeof(TRequest) : sizeof(TAnswer);
            frame->Status = request ? FrameStatus.WrongRequestLength : FrameStatus.WrongAnswerLength;
        }
    }
}

internal sealed unsafe class BytesMethod(BytesHandler handler) : MethodHandler(&Run)
{
    private readonly BytesHandler _handler = handler;

    private static void Run(MethodHandler self, CallFrame* frame)
    {
        var writer = new AnswerWriter(new Span<byte>(frame->Answer, frame->AnswerCapacityBytes));     // a negative length throws: the caller gets that
        Unsafe.As<BytesMethod>(self)._handler(new ReadOnlySpan<byte>(frame->Request, frame->RequestLengthBytes), ref writer);
        frame->AnswerLengthBytes = writer.LengthBytes;
    }
}
