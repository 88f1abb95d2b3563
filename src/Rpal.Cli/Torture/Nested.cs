using System.Runtime.InteropServices;

namespace Rpal.Cli.Torture;

/// <summary>Calls from handlers to the other callees. Not waited for long: two callees whose receivers all call each other would wait for ever.</summary>
internal sealed unsafe class Nested(TortureArena* arena, int self, ulong incarnation, int callees)
{
    private const int DepthLimit = 3;
    private static readonly Deadline s_deadline = Deadline.After(200);
    private static readonly CancellationToken s_noWaiting = new(canceled: true);

    [ThreadStatic]
    private static RpalConnection?[]? t_connections;

    [ThreadStatic]
    private static ulong t_sequence;

    private readonly MemberPlace* _place = TortureArena.Callee(arena, self);

    public void Call(in RequestHeader outer)
    {
        if (outer.Depth >= DepthLimit || callees < 2)
        {
            return;
        }

        int callee = (self + 1 + (int)(outer.Checksum % (ulong)(callees - 1))) % callees;
        RpalConnection?[] connections = t_connections ??= new RpalConnection?[TortureArena.GroupCapacity];
        if (Connection(connections, callee) is not { } connection)
        {
            Interlocked.Increment(ref _place->NestedClosed);
            return;
        }

        RequestHeader q = new()
        {
            Caller = TortureArena.GroupCapacity + self,
            Thread = Environment.CurrentManagedThreadId,
            Incarnation = incarnation,
            Sequence = ++t_sequence,
            Deed = (Deed)(1 + (outer.Checksum >> 8) % (ulong)(Deed.Count - 1)),
            Argument = outer.Argument & 0xFFF,
            Depth = outer.Depth + 1,
            Guard = TortureMessage.Guard,
        };
        q.Checksum = TortureMessage.ChecksumOf(q, []);
        AnswerHeader a = default;
        try
        {
            switch (connection.Call(TortureMessage.Value, in q, ref a, s_deadline))
            {
                case CallStatus.Answered:
                    Interlocked.Increment(ref _place->NestedAnswered);
                    if (AnswerCheck.Problem(in q, in a, [], callee) is { } problem)
                    {
                        Wrong($"nested, callee {self} calls {callee}: {problem}");
                    }

                    break;
                case CallStatus.Busy:
                    Interlocked.Increment(ref _place->NestedBusy);
                    break;
                case CallStatus.PeerDied:
                    Interlocked.Increment(ref _place->NestedPeerDied);
                    connections[callee] = null;
                    break;
                default:
                    Interlocked.Increment(ref _place->NestedClosed);
                    connections[callee] = null;
                    break;
            }
        }
        catch (RemoteCallException e) when (q.Deed == Deed.Throw && e.RemoteMessage.EndsWith($"{q.Checksum:x}", StringComparison.Ordinal))
        {
            Interlocked.Increment(ref _place->NestedAnswered);
        }
        catch (RemoteCallException e)
        {
            Wrong($"nested, callee {self} calls {callee}, {q.Deed}: {e.Message}");
        }
    }

    private void Wrong(string text)
    {
        Interlocked.Increment(ref _place->Wrong);
        TortureArena.Wrong(arena, text);
    }

    private static RpalConnection? Connection(RpalConnection?[] connections, int callee)
    {
        if (connections[callee] is { } known)
        {
            return known;
        }

        Task<RpalConnection> connect = RpalConnection.ConnectAsync(TortureMessage.ServiceOf(callee), s_noWaiting);
        return connect.IsCompletedSuccessfully ? connections[callee] = connect.Result : null;
    }
}

/// <summary>Whether an answer is the one to its request.</summary>
internal static class AnswerCheck
{
    /// <returns>What is wrong, or null.</returns>
    public static string? Problem(in RequestHeader q, in AnswerHeader a, ReadOnlySpan<byte> payload, int callee)
    {
        ulong checksum = TortureMessage.ChecksumOf(a, payload);
        return q.Deed == Deed.Throw ? $"{q.Deed}: answered"
            : a.Checksum != checksum ? $"{q.Deed} sequence {q.Sequence}: checksum {a.Checksum:x}, not {checksum:x}, of {payload.Length} bytes: {Hex(in a)}"
            : a.Request != q.Checksum || a.Sequence != q.Sequence ? $"{q.Deed} sequence {q.Sequence} request {q.Checksum:x}: the answer to {a.Sequence}, {a.Request:x}"
            : a.Callee != callee ? $"{q.Deed}: answered by {a.Callee}, not {callee}"
            : TortureMessage.AsksKernel(q.Deed) && a.KernelPid != a.Pid
            ? $"{q.Deed}: a handler of process {a.Pid} made its system calls as process {a.KernelPid}"
            : a.Value != TortureMessage.ValueOf(in q) ? $"{q.Deed} sequence {q.Sequence}: value {a.Value:x}, not {TortureMessage.ValueOf(in q):x}"
            : null;
    }

    private static string Hex(in AnswerHeader a) => Convert.ToHexString(MemoryMarshal.AsBytes(new ReadOnlySpan<AnswerHeader>(in a)));
}
