using System.Runtime.InteropServices;
using Rpal.Linux;

namespace Rpal.Cli.Torture;

/// <summary>A member that serves: checks each request, does what it says, seals the answer.</summary>
internal sealed unsafe class CalleeRole
{
    private readonly TortureArena* _arena;
    private readonly int _self;
    private readonly int _pid = Sys.GetPid();
    private readonly MemberPlace* _place;
    private readonly ulong _incarnation;
    private readonly Nested _nested;

    private CalleeRole(TortureArena* arena, int self, int callees)
    {
        _arena = arena;
        _self = self;
        _place = TortureArena.Callee(arena, self);
        _incarnation = Interlocked.Increment(ref _place->Incarnation);
        _nested = new Nested(arena, self, _incarnation, callees);
    }

    public static void Run(TortureArena* arena, int self, TortureOptions options) => new CalleeRole(arena, self, options.Callees).Serve(options);

    private void Serve(TortureOptions options)
    {
        using var nuisance = new Nuisance(_place, options.Seed + (ulong)_self * 31 + _incarnation);
        RpalService service = RpalService.Register(TortureMessage.ServiceOf(_self), new ServiceOptions { Receivers = TortureOptions.Receivers });
        service.Handle(TortureMessage.Bytes, Handle);
        service.Handle<RequestHeader, AnswerHeader>(TortureMessage.Value, Handle);
        service.Enable();
        Volatile.Write(ref _place->Ready, _incarnation);
        while (Volatile.Read(ref _arena->Stop) == 0)
        {
            Churn();
            Pace.BetweenLooks();
        }
    }

    /// <summary>A service comes and goes: its receiver parks for the first time, and leaves.</summary>
    private void Churn()
    {
        RpalService service = RpalService.Register($"churn-{_self}", new ServiceOptions { Receivers = 1 });
        service.Enable();
        service.DisposeAsync().AsTask().GetAwaiter().GetResult();
        Interlocked.Increment(ref _place->Churned);
    }

    private void Handle(ReadOnlySpan<byte> request, ref AnswerWriter answer)
    {
        if (request.Length < RequestHeader.SizeBytes)
        {
            Wrong($"a request of {request.Length} bytes");
            return;
        }

        RequestHeader q = MemoryMarshal.Read<RequestHeader>(request);
        ReadOnlySpan<byte> payload = request[RequestHeader.SizeBytes..];
        AnswerHeader a = Work(in q, payload);
        payload = q.Deed == Deed.Echo ? payload : [];
        a.PayloadLengthBytes = payload.Length;
        a.Checksum = TortureMessage.ChecksumOf(a, payload);
        answer.Write(new ReadOnlySpan<byte>(&a, AnswerHeader.SizeBytes));
        answer.Write(payload);
    }

    private void Handle(in RequestHeader q, ref AnswerHeader answer)
    {
        AnswerHeader a = Work(in q, []);
        a.Checksum = TortureMessage.ChecksumOf(a, []);
        answer = a;
    }

    private AnswerHeader Work(in RequestHeader shared, ReadOnlySpan<byte> payload)
    {
        RequestHeader q = shared;
        Check(in q, payload, "before");
        ulong value = TortureDeeds.Do(in q, _nested);
        int kernelPid = TortureMessage.AsksKernel(q.Deed) ? Sys.GetPid() : 0;
        Check(in shared, payload, "after");                      // the caller may be dead by now; its memory must not be another's
        return new AnswerHeader
        {
            Request = q.Checksum,
            Sequence = q.Sequence,
            Incarnation = _incarnation,
            Value = value,
            Callee = _self,
            Pid = _pid,
            KernelPid = kernelPid,
        };
    }

    private void Check(in RequestHeader q, ReadOnlySpan<byte> payload, string when)
    {
        ulong checksum = TortureMessage.ChecksumOf(q, payload);
        if (q.Guard != TortureMessage.Guard || q.Checksum != checksum || q.PayloadLengthBytes != payload.Length)
        {
            Wrong($"callee {_self} got a wrong request ({when}): caller {q.Caller} thread {q.Thread} sequence {q.Sequence} {q.Deed}, {q.PayloadLengthBytes} bytes of {payload.Length}, checksum {q.Checksum:x}, not {checksum:x}, guard {q.Guard:x}");
        }
    }

    private void Wrong(string text)
    {
        Interlocked.Increment(ref _place->Wrong);
        TortureArena.Wrong(_arena, text);
    }
}
