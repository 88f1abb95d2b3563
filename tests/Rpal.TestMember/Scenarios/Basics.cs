using System.Runtime.InteropServices;
using System.Text;

namespace Rpal.TestMember.Scenarios;

/// <summary>Call by reference, and the documented errors.</summary>
internal static class Basics
{
    private sealed class Holder
    {
        public Payload Request;
        public ulong Answer;
    }

    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.AddCaller("in-place", InPlace);
        scenarios.AddCaller("heap-while-compacting", HeapWhileCompacting);
        scenarios.AddCaller("errors", Errors);
        scenarios.AddCaller("limits", _ => Limits());
    }

    private static unsafe void InPlace(RpalConnection work)
    {
        byte* native = (byte*)NativeMemory.Alloc(64);
        Span<byte> local = stackalloc byte[64];
        byte[] pinned = GC.AllocateArray<byte>(64, pinned: true);
        fixed (byte* p = local)
        fixed (byte* q = pinned)
        {
            foreach ((nint request, nint room) in (ReadOnlySpan<(nint, nint)>)[((nint)native, (nint)p), ((nint)p, (nint)q), ((nint)q, (nint)native)])
            {
                var answer = new Span<byte>((void*)room, 64);
                Check.Equal(CallStatus.Answered, work.Call(Methods.Where, new ReadOnlySpan<byte>((void*)request, 64), answer, out int length, Calls.Soon));
                Check.Equal(16, length);
                Check.Equal((long)request, BitConverter.ToInt64(answer));
                Check.Equal((long)room, BitConverter.ToInt64(answer[8..]));
            }
        }

        NativeMemory.Free(native);

        // An answer stays as it was when the handler did not write it, and a bytes method may take and give nothing.
        Check.Equal(CallStatus.Answered, work.Call(Methods.Echo, [], [], out int none, Calls.Soon));
        Check.Equal(0, none);
        byte[] big = new byte[1 << 20], back = new byte[1 << 20];
        new Random(1).NextBytes(big);
        Check.Equal(CallStatus.Answered, work.Call(Methods.Echo, big, back, out int all, Calls.Soon));
        Check.That(all == big.Length && big.AsSpan().SequenceEqual(back));
        Check.Equal(5L, work.Add(2, 3));
    }

    private static void HeapWhileCompacting(RpalConnection work)
    {
        bool stop = false;
        long compactions = 0, calls = 0;
        var collector = new Thread(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                // One after the other would leave the caller nothing: in any .NET program, it sleeps through the moment between two collections.
                long before = Volatile.Read(ref calls);
                SpinWait.SpinUntil(() => Volatile.Read(ref calls) != before || Volatile.Read(ref stop));
                byte[][] junk = [.. Enumerable.Range(0, 200).Select(i => new byte[i * 10])];
                GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
                GC.KeepAlive(junk);
                Interlocked.Increment(ref compactions);
            }
        });
        collector.Start();
        var random = new Random(5);
        for (int i = 0; i < 20_000 || Volatile.Read(ref compactions) < 50; i++)
        {
            var holder = new Holder();
            random.NextBytes(holder.Request);
            Check.Equal(CallStatus.Answered, work.Call(Methods.Checksum, in holder.Request, ref holder.Answer, Calls.Soon));
            Check.Equal(StandardService.Hash(holder.Request), holder.Answer);
            Numbers[] numbers = [new(i, 1), new(i, 2), new(i, 3)];
            long[] sums = new long[3];
            Check.Equal(CallStatus.Answered, work.Call(Methods.Add, in numbers[1], ref sums[2], Calls.Soon));
            Check.That(sums[0] == 0 && sums[1] == 0 && sums[2] == i + 2);
            Interlocked.Increment(ref calls);
        }

        Volatile.Write(ref stop, true);
        Check.Ends(collector);
    }

    private static void Errors(RpalConnection work)
    {
        long answer = 0;
        int small = 0;
        Check.Error(RpalError.WrongSize, () => work.Call(Methods.Add, 1, ref answer, Calls.Soon));
        Check.Error(RpalError.WrongSize, () => work.Call(Methods.Add, new Numbers(1, 2), ref small, Calls.Soon));
        Check.Error(RpalError.WrongSize, () => work.Call(Methods.Add, new byte[15], new byte[8], out _, Calls.Soon));
        Check.Error(RpalError.NoSuchMethod, () => work.Call(999, new Numbers(1, 2), ref answer, Calls.Soon));
        Check.Error(RpalError.NoSuchMethod, () => work.Call(-1, new Numbers(1, 2), ref answer, Calls.Soon));
        Check.Error(RpalError.NoSuchMethod, () => work.Call(int.MaxValue, [], [], out _, Calls.Soon));
        Check.Equal(0L, answer);
        RemoteCallException full = Check.Throws<RemoteCallException>(() => work.Call(Methods.Echo, new byte[10], new byte[9], out _, Calls.Soon));
        Check.Equal("System.ArgumentException", full.RemoteType);
        using var limit = new CancellationTokenSource(100);
        OperationCanceledException cancelled = Check.Throws<OperationCanceledException>(() => RpalConnection.ConnectAsync("work", 12345, limit.Token).GetAwaiter().GetResult());
        Check.Equal("Cancelled while waiting for service 'work': one of that name is enabled, with another key.", cancelled.Message);
        Check.Equal(limit.Token, cancelled.CancellationToken);
        cancelled = Check.Throws<OperationCanceledException>(() => RpalConnection.ConnectAsync("nobody", limit.Token).GetAwaiter().GetResult());
        Check.Equal("Cancelled while waiting for service 'nobody': no member has registered it.", cancelled.Message);
        RpalException taken = Check.Throws<RpalException>(() => RpalService.Register("work"));
        Check.Equal(RpalError.NameTaken, taken.Error);
        Check.That(taken.Message.Contains("in this family, by member 'work', process ", StringComparison.Ordinal), taken.Message);

        RpalService own = RpalService.Register("own", new ServiceOptions { Receivers = 1, Key = 77 });
        Check.Equal(77UL, own.Key);
        taken = Check.Throws<RpalException>(() => RpalService.Register("own"));
        Check.That(taken.Message.Contains("in this family, by this process itself.", StringComparison.Ordinal), taken.Message);
        own.Handle<long, long>(1, static (in q, ref a) => a = q + 1);
        own.Enable();
        RpalConnection keyed = RpalConnection.ConnectAsync("own", 77).GetAwaiter().GetResult();
        Check.Equal(CallStatus.Answered, keyed.Call(1, 5L, ref answer, Calls.Soon));     // a member may call itself
        Check.Equal(6L, answer);
        own.DisposeAsync().AsTask().GetAwaiter().GetResult();
        Check.Equal(CallStatus.Closed, keyed.Call(1, 5L, ref answer, Calls.Soon));
        Check.Error(RpalError.Closed, own.Enable);
        Check.Error(RpalError.Closed, () => own.Handle(1, static (_, ref _) => { }));
        own.DisposeAsync().AsTask().GetAwaiter().GetResult();

        // Registered anew under the same name and the same key: still another service.
        RpalService again = RpalService.Register("own", new ServiceOptions { Receivers = 1, Key = 77 });
        again.Handle<long, long>(1, static (in q, ref a) => a = q + 2);
        again.Enable();
        Check.Equal(CallStatus.Closed, keyed.Call(1, 5L, ref answer, Calls.Soon));
        Check.Equal(CallStatus.Closed, keyed.Call(1, 5L, ref answer, Deadline.Never));
        Check.Equal(CallStatus.Answered, Calls.Connect("own").Call(1, 5L, ref answer, Calls.Soon));
        Check.Equal(7L, answer);
    }

    private static void Limits()
    {
        Check.Throws<ArgumentException>(() => RpalService.Register(""));
        ArgumentOutOfRangeException wrong = Check.Throws<ArgumentOutOfRangeException>(() => RpalService.Register(new string('n', RpalService.NameBytesLimit + 1)));
        Check.Says(wrong, "name", "1 to 96 bytes in UTF-8 (RpalService.NameBytesLimit), and this one has 97.");
        wrong = Check.Throws<ArgumentOutOfRangeException>(() => RpalConnection.ConnectAsync(new string('n', RpalService.NameBytesLimit + 1)).GetAwaiter().GetResult());
        Check.Says(wrong, "service", "(RpalService.NameBytesLimit), and this one has 97.");
        Check.Throws<ArgumentOutOfRangeException>(() => RpalService.Register(new string('ä', RpalService.NameBytesLimit / 2 + 1)));
        Check.Throws<ArgumentOutOfRangeException>(() => RpalService.Register("r", new ServiceOptions { Receivers = 0 }));
        wrong = Check.Throws<ArgumentOutOfRangeException>(() => RpalService.Register("r", new ServiceOptions { Receivers = ServiceOptions.ReceiversLimit + 1 }));
        Check.Says(wrong, "options", "ServiceOptions.Receivers takes 1 to 64 (ServiceOptions.ReceiversLimit), and is 65.");
        Check.Equal(64, ServiceOptions.ReceiversLimit);
        Check.Throws<ArgumentException>(() => RpalConnection.ConnectAsync("").GetAwaiter().GetResult());
        Check.Says(Check.Throws<ArgumentOutOfRangeException>(() => Deadline.After(-1)), "milliseconds", "0 or more milliseconds, and this is -1.");
        Check.Says(Check.Throws<ArgumentOutOfRangeException>(() => Deadline.After(double.NaN)), "milliseconds", "NaN");
        Check.Says(Check.Throws<ArgumentOutOfRangeException>(() => Deadline.After(TimeSpan.FromSeconds(-1))), "time", "-00:00:01");
        Check.Says(Check.Throws<ArgumentOutOfRangeException>(() => Deadline.At(TimeSpan.FromSeconds(-1))), "fromNow", "-00:00:01");

        string longest = new('ä', RpalService.NameBytesLimit / 2);
        Check.Equal(RpalService.NameBytesLimit, Encoding.UTF8.GetByteCount(longest));
        RpalService most = RpalService.Register(longest, new ServiceOptions { Receivers = ServiceOptions.ReceiversLimit });
        Check.Throws<ArgumentOutOfRangeException>(() => most.Handle(-1, static (_, ref _) => { }));
        wrong = Check.Throws<ArgumentOutOfRangeException>(() => most.Handle(RpalService.MethodLimit + 1, static (_, ref _) => { }));
        Check.Says(wrong, "method", $"0 to {RpalService.MethodLimit} (RpalService.MethodLimit), and this one is {RpalService.MethodLimit + 1}.");
        most.Handle(RpalService.MethodLimit, static (q, ref a) => a.Write(q));
        most.Enable();
        byte[] answer = new byte[1];
        Check.Equal(CallStatus.Answered, Calls.Connect(longest).Call(RpalService.MethodLimit, "x"u8, answer, out _, Calls.Soon));
        Check.Equal((byte)'x', answer[0]);

        // 256 receivers of a process over all its services: the fifth service of 64 does not fit.
        for (int i = 0; i < 3; i++)
        {
            RpalService.Register($"receivers {i}", new ServiceOptions { Receivers = 64 }).Enable();
        }

        RpalService tooMany = RpalService.Register("too many", new ServiceOptions { Receivers = 1 });
        Check.Error(RpalError.LimitReached, tooMany.Enable);
        most.DisposeAsync().AsTask().GetAwaiter().GetResult();
        tooMany.Enable();

        // 256 services of the family; "work", three with receivers and the one too many are there; the closed one is not.
        var services = new List<RpalService>();
        RpalException full = Check.Throws<RpalException>(() =>
        {
            for (int i = 0; i < 300; i++)
            {
                services.Add(RpalService.Register($"service {i}"));
            }
        });
        Check.Equal(RpalError.LimitReached, full.Error);
        Check.Equal(256, services.Count + 5);
        services[0].DisposeAsync().AsTask().GetAwaiter().GetResult();
        RpalService.Register("now there is room").DisposeAsync().AsTask().GetAwaiter().GetResult();
    }
}
