using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Rpal.Internal;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal;

/// <summary>A way to call one service. Any number of threads may use it; it holds nothing that must be released.</summary>
/// <example><code>
/// RpalConnection adder = await RpalConnection.ConnectAsync("adder", cancellationToken);
/// long sum = 0;
/// CallStatus status = adder.Call(1, new Numbers(1, 2), ref sum, Deadline.After(milliseconds: 5));
/// </code></example>
public sealed class RpalConnection
{
    private static readonly unsafe delegate* unmanaged<ThreadBlock*, ReceiverBlock*, CallFrame*, uint> s_call = Routine();

    private readonly unsafe ServiceEntry* _entry;
    private readonly int _index;
    private readonly ulong _key;
    private readonly nint[] _receivers;

    private unsafe RpalConnection(string service, int index, ulong key, nint[] receivers)
    {
        Service = service;
        _entry = FamilyHeader.Service(index);
        _index = index;
        _key = key;
        _receivers = receivers;
    }

    /// <summary>The service's name.</summary>
    public string Service { get; }

    /// <summary>Waits until the service is there and enabled.</summary>
    /// <param name="service">Its name.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="RpalException">This process is in no family.</exception>
    /// <exception cref="OperationCanceledException">Cancelled before the service was there.</exception>
    public static Task<RpalConnection> ConnectAsync(string service, CancellationToken cancellationToken = default) => ConnectAsync(service, null, cancellationToken);

    /// <summary>Waits until the service with this name and key is there and enabled.</summary>
    /// <param name="service">Its name.</param>
    /// <param name="key">Its key, or null for any.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="RpalException">This process is in no family.</exception>
    /// <exception cref="OperationCanceledException">Cancelled before the service was there.</exception>
    public static async Task<RpalConnection> ConnectAsync(string service, ulong? key, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(service);
        MemberRuntime.Attach();
        return TryConnect(service, key) ?? await Task.Factory.StartNew(() => Await(service, key, cancellationToken), cancellationToken,
            TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
    }

    /// <summary>Calls a method whose request and answer are plain values.</summary>
    /// <param name="method">Its number.</param>
    /// <param name="request">Read by the handler where it lies.</param>
    /// <param name="answer">Written by the handler where it lies. Unchanged unless the handler wrote it.</param>
    /// <param name="deadline">How long to wait for a receiver.</param>
    /// <param name="cancellationToken">Looked at before the call and while it waits for a receiver; a handler that has begun is not interrupted.</param>
    /// <exception cref="RemoteCallException">The handler threw.</exception>
    /// <exception cref="RpalException">No such method, or another size of request or answer.</exception>
    /// <exception cref="OperationCanceledException">Cancelled before a receiver took the call.</exception>
    [SkipLocalsInit]
    public unsafe CallStatus Call<TRequest, TAnswer>(int method, in TRequest request, ref TAnswer answer, Deadline deadline, CancellationToken cancellationToken = default)
        where TRequest : unmanaged
        where TAnswer : unmanaged
    {
        fixed (TRequest* q = &request)
        fixed (TAnswer* a = &answer)
        {
            CallFrame frame;
            frame.Method = method;
            frame.Status = FrameStatus.Done;
            frame.Request = (byte*)q;
            frame.RequestLengthBytes = sizeof(TRequest);
            frame.AnswerCapacityBytes = sizeof(TAnswer);
            frame.Answer = (byte*)a;
            frame.Key = _key;
            return Call(&frame, deadline, cancellationToken);
        }
    }

    /// <summary>Calls a method whose request and answer are bytes.</summary>
    /// <param name="method">Its number.</param>
    /// <param name="request">Read by the handler where it lies.</param>
    /// <param name="answer">Room for the answer.</param>
    /// <param name="answerLengthBytes">Bytes that the handler wrote.</param>
    /// <param name="deadline">How long to wait for a receiver.</param>
    /// <param name="cancellationToken">Looked at before the call and while it waits for a receiver; a handler that has begun is not interrupted.</param>
    /// <exception cref="RemoteCallException">The handler threw; also when the answer did not fit.</exception>
    /// <exception cref="RpalException">No such method, or one that takes values of another size.</exception>
    /// <exception cref="OperationCanceledException">Cancelled before a receiver took the call.</exception>
    [SkipLocalsInit]
    public unsafe CallStatus Call(int method, ReadOnlySpan<byte> request, Span<byte> answer, out int answerLengthBytes, Deadline deadline, CancellationToken cancellationToken = default)
    {
        fixed (byte* q = request)
        fixed (byte* a = answer)
        {
            CallFrame frame;
            frame.Method = method;
            frame.Status = FrameStatus.Done;
            frame.Request = q;
            frame.RequestLengthBytes = request.Length;
            frame.AnswerCapacityBytes = answer.Length;
            frame.Answer = a;
            frame.Key = _key;
            frame.AnswerLengthBytes = 0;
            CallStatus status = Call(&frame, deadline, cancellationToken);
            answerLengthBytes = status == CallStatus.Answered ? frame.AnswerLengthBytes : 0;
            return status;
        }
    }

    /// <summary>The raw way for benchmarks: the receiver that this thread would use first.</summary>
    internal unsafe ReceiverBlock* FirstReceiver => (ReceiverBlock*)_receivers[0];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private unsafe CallStatus Call(CallFrame* frame, Deadline deadline, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            cancellationToken.ThrowIfCancellationRequested();
        }

        ThreadBlock* sender = ThreadArmory.Current;
        nint[] receivers = _receivers;
        int last = sender->LastReceiver[_index % ThreadBlock.LastReceiverCount];
        nint receiver = receivers[(uint)last < (uint)receivers.Length ? last : 0];
        uint result = s_call(sender, (ReceiverBlock*)receiver, frame);
        return result == CallResult.Answered && frame->Status == FrameStatus.Done ? CallStatus.Answered : Finish(sender, frame, result, deadline, cancellationToken);
    }

    /// <summary>Everything but the plain answer.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private unsafe CallStatus Finish(ThreadBlock* sender, CallFrame* frame, uint result, Deadline deadline, CancellationToken cancellationToken)
    {
        if ((result & CallResult.NotReady) != 0)
        {
            CallStatus status = new CallWait(_entry, _index, _receivers).Run(sender, frame, deadline, cancellationToken);
            if (status != CallStatus.Answered)
            {
                return status;
            }
        }
        else if (result == CallResult.PeerDied)
        {
            return CallStatus.PeerDied;
        }

        return frame->Status switch
        {
            FrameStatus.Done => CallStatus.Answered,
            FrameStatus.Threw => throw Dispatcher.Read(Service, sender, frame->ErrorLengthBytes),
            FrameStatus.NoSuchMethod => throw new RpalException(RpalError.NoSuchMethod, $"Service {Service} has no method {frame->Method}."),
            FrameStatus.WrongRequestLength => throw new RpalException(RpalError.WrongSize,
                $"Method {frame->Method} of service {Service} takes a request of {frame->Detail} bytes, got {frame->RequestLengthBytes}. Use the same type on both sides."),
            FrameStatus.WrongAnswerLength => throw new RpalException(RpalError.WrongSize,
                $"Method {frame->Method} of service {Service} gives an answer of {frame->Detail} bytes, got room for {frame->AnswerCapacityBytes}. Use the same type on both sides."),
            _ => CallStatus.Closed,
        };
    }

    private static unsafe RpalConnection? TryConnect(string service, ulong? key)
    {
        byte[] name = Encoding.UTF8.GetBytes(service);
        for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
        {
            ServiceEntry* e = FamilyHeader.Service(i);
            if ((ServiceState)Volatile.Read(ref *(uint*)&e->State) == ServiceState.Enabled
                && name.AsSpan().SequenceEqual(new(e->Name, Math.Clamp(e->NameLengthBytes, 0, ServiceEntry.NameCapacityBytes)))
                && (key is null || key == e->Key))
            {
                nint[] receivers = GC.AllocateUninitializedArray<nint>(Math.Clamp(e->ReceiverCount, 0, FamilyLayout.ReceiversPerService));
                for (int r = 0; r < receivers.Length; r++)
                {
                    receivers[r] = (nint)e->Receivers[r];
                }

                return receivers.Length > 0 ? new RpalConnection(service, i, e->Key, receivers) : null;
            }
        }

        return null;
    }

    private static unsafe RpalConnection Await(string service, ulong? key, CancellationToken cancellationToken)
    {
        const long cancellationSliceNs = 50_000_000;
        uint* sequence = &FamilyHeader.At->DirectorySequence;
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            uint seen = Volatile.Read(ref *sequence);
            if (TryConnect(service, key) is { } connection)
            {
                return connection;
            }

            _ = Sys.FutexWait(sequence, seen, cancellationToken.CanBeCanceled ? cancellationSliceNs : -1);
        }
    }

    private static unsafe delegate* unmanaged<ThreadBlock*, ReceiverBlock*, CallFrame*, uint> Routine() =>
        RpalFamily.Membership == FamilyMembership.Member
            ? (delegate* unmanaged<ThreadBlock*, ReceiverBlock*, CallFrame*, uint>)FamilyHeader.At->Address(Machine.Blocks.Routine.Call)
            : null;
}
