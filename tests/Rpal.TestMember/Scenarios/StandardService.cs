using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Rpal.TestMember.Scenarios;

/// <summary>Methods of the standard service.</summary>
internal static class Methods
{
    public const int Echo = 1, Add = 2, Checksum = 3, Stop = 4, Do = 5, Where = 6, Forward = 7, Relay = 8, ForwardBytes = 9,
        DoBytes = 10, ThreadName = 11;
}

internal readonly record struct Order(Deed Deed, long Argument);

internal readonly record struct Numbers(long First, long Second);

[InlineArray(64)]
internal struct Payload
{
    private byte _first;
}

/// <summary>A service with everything that the scenarios ask of a callee.</summary>
internal static class StandardService
{
    /// <summary>The one that this process registered last.</summary>
    public static RpalService? Registered { get; private set; }

    public static void Add(Dictionary<string, Func<string[], int>> scenarios) => scenarios.Add("serve", args =>
    {
        Serve(args[0], int.Parse(args[1]));
        return 0;
    });

    /// <summary>Serves until <see cref="Methods.Stop"/>.</summary>
    public static void Serve(string name, int receivers)
    {
        using var stop = new ManualResetEventSlim();
        RpalService service = Register(name, receivers, stop.Set);
        service.Enable();
        Check.Stops(stop);
        service.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    public static RpalService Register(string name, int receivers, Action stop)
    {
        RpalService service = Registered = RpalService.Register(name, new ServiceOptions { Receivers = receivers });
        service.Handle(Methods.Echo, static (q, ref a) => a.Write(q));
        service.Handle<Numbers, long>(Methods.Add, static (in q, ref a) => a = q.First + q.Second);
        service.Handle<Payload, ulong>(Methods.Checksum, static (in q, ref a) => a = Hash(q));
        service.Handle(Methods.Stop, (_, ref _) => stop());
        service.Handle<Order, long>(Methods.Do, static (in q, ref a) => a = Deeds.Do(q.Deed, q.Argument, ref a));
        service.Handle(Methods.Where, Where);
        service.Handle<Order, long>(Methods.Forward, static (in q, ref a) => Nesting.Forward(in q, ref a));
        service.Handle<long, long>(Methods.Relay, static (in q, ref a) => a = Nesting.Relay(q));
        service.Handle(Methods.ForwardBytes, Nesting.ForwardBytes);
        service.Handle(Methods.DoBytes, DoBytes);
        service.Handle(Methods.ThreadName, static (_, ref a) => a.Write(Encoding.UTF8.GetBytes(Thread.CurrentThread.Name ?? "")));
        return service;
    }

    /// <summary>As <see cref="Methods.Do"/>, writing where the caller wants it from the start.</summary>
    private static void DoBytes(ReadOnlySpan<byte> request, ref AnswerWriter answer)
    {
        Order order = MemoryMarshal.Read<Order>(request);
        ref long room = ref MemoryMarshal.AsRef<long>(answer.Rest);
        room = Deeds.Do(order.Deed, order.Argument, ref room);
        answer.Advance(sizeof(long));
    }

    /// <summary>FNV-1a.</summary>
    public static ulong Hash(ReadOnlySpan<byte> bytes)
    {
        ulong hash = 14695981039346656037;
        foreach (byte b in bytes)
        {
            hash = (hash ^ b) * 1099511628211;
        }

        return hash;
    }

    private static unsafe void Where(ReadOnlySpan<byte> request, ref AnswerWriter answer)
    {
        fixed (byte* q = request)
        fixed (byte* a = answer.Rest)
        {
            long q1 = (long)q, a1 = (long)a;
            answer.Write(BitConverter.GetBytes(q1));
            answer.Write(BitConverter.GetBytes(a1));
        }
    }
}
