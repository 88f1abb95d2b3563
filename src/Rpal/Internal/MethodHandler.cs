using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>One method of a service: checks the lengths, then runs the user's handler on the caller's memory.</summary>
internal abstract unsafe class MethodHandler
{
    public abstract void Invoke(CallFrame* frame);
}

internal sealed unsafe class ValueMethod<TRequest, TAnswer>(CallHandler<TRequest, TAnswer> handler) : MethodHandler
    where TRequest : unmanaged
    where TAnswer : unmanaged
{
    public override void Invoke(CallFrame* frame)
    {
        if (frame->RequestLengthBytes != sizeof(TRequest))
        {
            frame->Detail = sizeof(TRequest);
            frame->Status = FrameStatus.WrongRequestLength;
            return;
        }

        if (frame->AnswerCapacityBytes != sizeof(TAnswer))
        {
            frame->Detail = sizeof(TAnswer);
            frame->Status = FrameStatus.WrongAnswerLength;
            return;
        }

        handler(in *(TRequest*)frame->Request, ref *(TAnswer*)frame->Answer);
    }
}

internal sealed unsafe class BytesMethod(BytesHandler handler) : MethodHandler
{
    public override void Invoke(CallFrame* frame)
    {
        var writer = new AnswerWriter(new Span<byte>(frame->Answer, frame->AnswerCapacityBytes));
        handler(new ReadOnlySpan<byte>(frame->Request, frame->RequestLengthBytes), ref writer);
        frame->AnswerLengthBytes = writer.LengthBytes;
    }
}
