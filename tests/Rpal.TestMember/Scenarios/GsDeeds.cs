using System.Runtime.CompilerServices;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.TestMember.Scenarios;

/// <summary>What a handler does to GS without the kernel, on the kernel thread of its caller.</summary>
internal enum GsLoss
{
    /// <summary>Nothing: the same code, so that it is compiled.</summary>
    None,

    /// <summary>It points to memory of the service.</summary>
    Readable,

    /// <summary>It points to nothing.</summary>
    NotMapped,

    /// <summary>It is zero, as in a thread that was never armed.</summary>
    Zero,

    /// <summary>And the handler makes a system call then.</summary>
    ThenSystemCall,

    /// <summary>And the handler faults then, and catches that.</summary>
    ThenFault,
}

/// <summary>Handlers that write GS with wrgsbase, as a library does that has GS for itself.</summary>
internal static unsafe class GsDeeds
{
    /// <summary>The handler was at home: what it would have done to its caller was not done.</summary>
    public const long WasAtHome = -1;

    private const nint NotMappedAddress = 0x1_0000;

    private static nint s_page;

    public static void Add(Dictionary<string, Func<string[], int>> scenarios) =>
        scenarios.Add("gs-is-written-in-a-handler", args => Call(Enum.Parse<GsLoss>(args[0])));

    /// <summary>Makes the code: a page, executable, with 1 in all its other bytes.</summary>
    public static long Prepare()
    {
        const int page = 4096;
        s_page = Sys.Mmap(0, page, Prot.Read | Prot.Write | Prot.Exec, MapFlags.Private | MapFlags.Anonymous, -1, 0);
        var bytes = new Span<byte>((void*)s_page, page);
        bytes.Fill(1);
        ((ReadOnlySpan<byte>)[0xF3, 0x48, 0x0F, 0xAE, 0xDF, 0xC3]).CopyTo(bytes);        // wrgsbase rdi; ret
        bytes[NothingOffset] = 0xC3;
        return s_page > 0 ? 0 : s_page;
    }

    private const int NothingOffset = 16;

    public static long Write(GsLoss loss)
    {
        if (!IsForeign())
        {
            return WasAtHome;
        }

        nint gs = loss switch { GsLoss.NotMapped => NotMappedAddress, GsLoss.Zero => 0, _ => s_page };
        ((delegate* unmanaged[SuppressGCTransition]<nint, void>)(s_page + (loss == GsLoss.None ? NothingOffset : 0)))(gs);
        return loss switch
        {
            GsLoss.ThenSystemCall => Sys.GetPid() & 0,
            GsLoss.ThenFault => Fault(),
            _ => 0,
        };
    }

    private static bool IsForeign()
    {
        for (int i = 0; i < FamilyLayout.ReceiverCapacity; i++)
        {
            ReceiverBlock* r = MemberBlock.Receiver(Rpal.Internal.MemberRuntime.Member->Index, i);
            if (r->State == ReceiverState.Foreign && r->InHandler != 0)
            {
                return true;
            }
        }

        return false;
    }

    private static long Fault()
    {
        try
        {
            return Nothing()!.Length;
        }
        catch (NullReferenceException)
        {
            return 0;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string? Nothing() => null;

    private static int Call(GsLoss loss)
    {
        RpalConnection work = Calls.Connect("work"), other = Calls.Connect("other");
        Check.Equal(0L, work.Do(Deed.PrepareGs));
        Check.Comes(() => work.Do(Deed.WriteGs, (long)GsLoss.None) == 0);
        work.Do(Deed.CatchNullReference);
        Check.Equal(3L, other.Add(1, 2));
        long answer = WasAtHome;
        Check.Comes(() =>
        {
            CallStatus status = work.Call(Methods.Do, new Order(Deed.WriteGs, (long)loss), ref answer, Calls.Soon);
            // Its process may end before the answer is there.
            Check.That(status is CallStatus.Answered or CallStatus.PeerDied, $"{status}");
            return status != CallStatus.Answered || answer == 0;
        });
        Check.Comes(() => work.TryDo(Deed.KernelPid) == CallStatus.PeerDied);
        for (int i = 0; i < 100; i++)
        {
            Check.Equal(3L, other.Add(1, 2));                    // on the same thread: its GS is its own again
        }

        GC.Collect();
        Check.Equal(3L, other.Add(1, 2));
        other.Stop();
        return 0;
    }
}
