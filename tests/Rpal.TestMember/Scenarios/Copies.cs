using System.Runtime.CompilerServices;
using Rpal.Internal;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.TestMember.Scenarios;

/// <summary>Copies from and to a peer's memory that is there, is not, or goes away meanwhile.</summary>
internal static unsafe class Copies
{
    private const int Page = 4096, Faults = 100_000;

    /// <summary>From a slot's beginning: between the main thread's stack and the arena.</summary>
    private const long QuietOffset = 12L << 30;

    private static long s_mapped;
    private static RpalConnection? s_back;

    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.AddCaller("copy-living", Living);
        scenarios.AddCaller("copy-out-of-range", OutOfRange);
        scenarios.AddCaller("copy-100000-faults", ManyFaults);
        scenarios.AddCaller("copy-while-unmapped", WhileUnmapped);
        scenarios.AddCaller("copy-in-handler", InHandler);
        scenarios.Add("copy-pins-the-slot", _ => PinsTheSlot());
        scenarios.Add("copy-from-the-dying", _ => FromTheDying());
    }

    // ----- what the standard service does when it is told to

    /// <summary>Four pages: one with a pattern, one more, one that may only be read, one that is not mapped.</summary>
    public static long Offer()
    {
        nint p = Map(4 * Page);
        Pattern(new((void*)p, Page), 0);
        Check.Equal(0, Sys.Mprotect(p + 2 * Page, Page, Prot.Read));
        Check.Equal(0, Sys.Munmap(p + 3 * Page, Page));
        return p;
    }

    /// <summary>A page whose file was cut off below it: SIGBUS.</summary>
    public static long OfferCutFile()
    {
        string path = Path.GetTempFileName();
        using FileStream file = File.Open(path, FileMode.Open);
        file.SetLength(Page);
        nint p = Sys.Mmap(0, Page, Prot.Read | Prot.Write, MapFlags.Shared, (int)file.SafeFileHandle.DangerousGetHandle(), 0);
        Check.That(p > 0);
        file.SetLength(0);
        File.Delete(path);
        return p;
    }

    /// <summary>Two pages, of which a thread takes the second away and brings it back, as long as the process lives.</summary>
    public static long OfferFlickering()
    {
        nint p = Map(2 * Page);
        new Thread(() =>
        {
            while (true)
            {
                Check.Equal(0, Sys.Munmap(p + Page, Page));
                Thread.Yield();
                MapAt(p + Page, Page);
                Thread.Yield();
            }
        })
        { IsBackground = true }.Start();
        return p;
    }

    public static long ConnectBack()
    {
        s_back = Calls.Connect("back");
        return 1;
    }

    /// <summary>Copies the first word at an address of the caller, in the handler.</summary>
    public static long CopyBack(long address)
    {
        long word = 0;
        CopyStatus status = s_back!.TryCopyFrom((nint)address, new Span<byte>(&word, sizeof(long)));
        return status == CopyStatus.Copied ? word : -(long)status;
    }

    /// <summary>Copies from an address of the caller that is not mapped, a thousand times in one call.</summary>
    public static long FaultBack(long address)
    {
        long word = 0, faults = 0;
        for (int i = 0; i < 1000; i++)
        {
            faults += s_back!.TryCopyFrom((nint)address, new Span<byte>(&word, sizeof(long))) == CopyStatus.NotMapped ? 1 : 0;
        }

        return faults;
    }

    // ----- what its callers see

    private static void Living(RpalConnection work)
    {
        nint there = (nint)work.Do(Deed.Offer), cut = (nint)work.Do(Deed.OfferCutFile);
        byte[] buffer = new byte[Page], wanted = new byte[Page], other = new byte[Page];
        Pattern(wanted, 0);
        Pattern(other, 7);
        Check.Parallel(1, _ => Unarmed(there));
        Check.Equal(CopyStatus.Copied, work.TryCopyFrom(there, buffer));
        Check.That(buffer.AsSpan().SequenceEqual(wanted));

        Check.Equal(CopyStatus.Copied, work.TryCopyTo(there, other));
        Check.Equal(CopyStatus.Copied, work.TryCopyFrom(there, buffer));
        Check.That(buffer.AsSpan().SequenceEqual(other));
        Check.Equal(CopyStatus.Copied, work.TryCopyFrom(there, []));
        Check.Equal(CopyStatus.Copied, work.TryCopyFrom(there + 3 * Page, []));
        Check.Equal(CopyStatus.Copied, work.TryCopyFrom(there + 2 * Page, buffer));
        Check.Equal(CopyStatus.NotMapped, work.TryCopyTo(there + 2 * Page, other));                  // read only
        Check.Equal(CopyStatus.NotMapped, work.TryCopyFrom(there + 3 * Page, buffer));
        Check.Equal(CopyStatus.NotMapped, work.TryCopyFrom(cut, buffer));
        Check.Equal(CopyStatus.NotMapped, work.TryCopyTo(cut, other));

        // What lies before the missing page is copied.
        Array.Clear(buffer);
        Check.Equal(CopyStatus.Copied, work.TryCopyTo(there + Page, other));
        Check.Equal(CopyStatus.NotMapped, work.TryCopyTo(there + 2 * Page - 100, other));
        Check.Equal(CopyStatus.Copied, work.TryCopyFrom(there + 2 * Page - 100, buffer.AsSpan(0, 100)));
        Check.That(buffer.AsSpan(0, 100).SequenceEqual(other.AsSpan(0, 100)));
        Check.Equal(CopyStatus.NotMapped, work.TryCopyFrom(there + 3 * Page - 50, buffer));
    }

    /// <summary>The routine itself, on a thread that has no block.</summary>
    private static void Unarmed(nint there)
    {
        var copy = (delegate* unmanaged<byte*, byte*, nuint, nuint>)FamilyHeader.At->Address(Routine.Copy);
        byte* page = stackalloc byte[Page];
        for (int i = 0; i < 100; i++)
        {
            Check.Equal((nuint)0, copy(page, (byte*)there, Page));
            Check.Equal((nuint)Page, copy(page, (byte*)there + 3 * Page, Page));
            Check.Equal((nuint)10, copy(page, (byte*)there + 3 * Page - 30, 40));
            Check.Equal((nuint)8, copy(null, page, 8));
            Check.Equal((nuint)8, copy(page, (byte*)(1UL << 63), 8));               // no address at all
            Check.Throws<NullReferenceException>(static () => Length(null));
        }
    }

    private static void OutOfRange(RpalConnection work)
    {
        long slot = work.Do(Deed.Offer) - FamilyLayout.SlotBase;
        slot = FamilyLayout.SlotBase + slot / FamilyLayout.SlotBytes * FamilyLayout.SlotBytes;
        byte[] buffer = new byte[16];
        fixed (byte* own = buffer)
        {
            foreach (nint address in (ReadOnlySpan<nint>)
                [0, -1, -8, nint.MaxValue, nint.MinValue, (nint)own, (nint)slot - 1, (nint)(slot + FamilyLayout.SlotBytes), (nint)(slot + FamilyLayout.SlotBytes) - 15, unchecked((nint)FamilyLayout.FamilyBase)])
            {
                Check.Equal(CopyStatus.OutOfRange, work.TryCopyFrom(address, buffer));
                Check.Equal(CopyStatus.OutOfRange, work.TryCopyTo(address, buffer));
            }
        }

        Check.That(work.TryCopyFrom((nint)(slot + FamilyLayout.SlotBytes) - 16, buffer) is CopyStatus.NotMapped or CopyStatus.Copied);
    }

    private static void ManyFaults(RpalConnection work)
    {
        nint there = (nint)work.Do(Deed.Offer);
        Check.Parallel(2, t =>
        {
            byte[] buffer = new byte[64];
            for (int i = 0; i < Faults / 2; i++)
            {
                Check.Equal(CopyStatus.NotMapped, t == 0 ? work.TryCopyFrom(there + 3 * Page, buffer) : work.TryCopyTo(there + 3 * Page, buffer));
                if (i % 1000 == 0)
                {
                    Check.Throws<NullReferenceException>(static () => Length(null));
                    Check.Equal(42L, work.Do(Deed.CatchNullReference));
                    Check.Equal(CopyStatus.Copied, work.TryCopyFrom(there, buffer));
                }
            }
        });
    }

    /// <summary>The page comes and goes in the middle of copies; collections interrupt them.</summary>
    private static void WhileUnmapped(RpalConnection work)
    {
        nint there = (nint)work.Do(Deed.OfferFlickering);
        long copied = 0, missing = 0, other = 0;
        const int enough = 1000;
        Check.Parallel(2, t =>
        {
            if (t == 1)
            {
                Check.Comes(() =>
                {
                    GC.Collect(0);
                    return Volatile.Read(ref copied) >= enough && Volatile.Read(ref missing) >= enough;
                });
                return;
            }

            byte[] buffer = new byte[2 * Page];
            Check.Comes(() =>
            {
                CopyStatus status = missing > copied ? work.TryCopyTo(there, buffer) : work.TryCopyFrom(there, buffer);
                _ = status switch
                {
                    CopyStatus.Copied => copied++,
                    CopyStatus.NotMapped => missing++,
                    _ => other++,
                };
                return copied >= enough && missing >= enough;
            });
        });
        Check.Equal(0L, other);
    }

    /// <summary>The handler copies on this process's kernel thread: its fault is answered there, with no lazy switch.</summary>
    private static void InHandler(RpalConnection work)
    {
        RpalService back = RpalService.Register("back", new ServiceOptions { Receivers = 1 });
        back.Enable();
        long[] word = GC.AllocateArray<long>(1, pinned: true);
        word[0] = 4711;
        nint here;
        fixed (long* p = word)
        {
            here = (nint)p;
        }

        nint missing = (nint)Offer() + 3 * Page;
        Check.Equal(1L, work.Do(Deed.ConnectBack));
        for (int i = 0; i < 1000; i++)                           // warm: the first calls load and compile, which needs the kernel
        {
            Check.Equal(4711L, work.Do(Deed.CopyBack, here));
            Check.Equal(-(long)CopyStatus.NotMapped, work.Do(Deed.CopyBack, missing));
        }

        work.Do(Deed.FaultBack, missing);
        long before = work.Do(Deed.LazySwitches);
        for (int i = 0; i < 100; i++)
        {
            Check.Equal(1000L, work.Do(Deed.FaultBack, missing));
        }

        long lazy = work.Do(Deed.LazySwitches) - before;
        Check.That(lazy < 20, $"{lazy} lazy switches for {Faults} faults");      // the collector or tiered compilation may evict a context now and then

        // At home too: the handler has been switched before it faults.
        Check.Equal(42L, work.Do(Deed.CatchNullReference));
        Check.Equal(-(long)CopyStatus.NotMapped, work.Do(Deed.CopyBackAtHome, missing));
        Check.Equal(4711L, work.Do(Deed.CopyBackAtHome, here));
        back.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    private static int FromTheDying()
    {
        RpalConnection victim = Calls.Connect("victim"), work = Calls.Connect("work");
        nint there = (nint)victim.Do(Deed.OfferFlickering), missing = (nint)victim.Do(Deed.Offer) + 3 * Page;
        int pid = (int)victim.Do(Deed.KernelPid);
        long copies = 0;
        Check.Parallel(3, t =>
        {
            if (t == 0)
            {
                Check.Comes(() => Volatile.Read(ref copies) > 1000);
                Check.Equal(0, Sys.Kill(pid, Signal.SIGKILL));
                return;
            }

            byte[] buffer = new byte[2 * Page];
            Check.Comes(() =>
            {
                CopyStatus status = t == 1 ? victim.TryCopyFrom(there, buffer) : victim.TryCopyTo(there, buffer);
                Interlocked.Increment(ref copies);
                Check.That(status != CopyStatus.OutOfRange);
                return status == CopyStatus.PeerGone;
            });
        });
        Check.Equal(CopyStatus.PeerGone, victim.TryCopyFrom(there, new byte[1]));
        Check.Equal(CopyStatus.PeerGone, victim.TryCopyTo(there, new byte[1]));
        Check.Equal(CopyStatus.PeerGone, victim.TryCopyFrom(missing, new byte[1]));
        Check.Equal(CopyStatus.PeerGone, victim.TryCopyFrom(there, []));
        Check.Throws<NullReferenceException>(static () => Length(null));
        work.CheckChecksum(1);
        work.Stop();
        return 0;
    }

    /// <summary>As if this thread were in the middle of a copy when the peer is killed.</summary>
    private static int PinsTheSlot()
    {
        RpalConnection victim = Calls.Connect("victim"), work = Calls.Connect("work");
        nint there = (nint)victim.Do(Deed.Offer);
        int pid = (int)victim.Do(Deed.KernelPid), member = (int)((there - FamilyLayout.SlotBase) / FamilyLayout.SlotBytes);
        byte resident;
        ThreadBlock* self = ThreadArmory.Current;
        Volatile.Write(ref self->Copying, MemberBlock.At(member)->Generation);
        Check.Equal(0, Sys.Kill(pid, Signal.SIGKILL));
        Check.Comes(() => MemberBlock.At(member)->State != MemberState.Running);
        for (int i = 0; i < 100; i++)                            // whatever the host does meanwhile
        {
            work.Do(Deed.FileExists);
            Check.Equal(MemberState.Gone, MemberBlock.At(member)->State);
            Check.Equal(0, Sys.Mincore(there, Page, &resident));
        }

        Volatile.Write(ref self->Copying, 0);
        Check.Comes(() => MemberBlock.At(member)->State == MemberState.Free);
        Check.Equal(-(int)Errno.ENOMEM, Sys.Mincore(there, Page, &resident));
        Check.Equal(CopyStatus.PeerGone, victim.TryCopyFrom(there, new byte[1]));
        long answer = 0;
        Check.Equal(CallStatus.PeerDied, victim.Call(Methods.Add, new Numbers(1, 2), ref answer, Deadline.Never));
        work.Stop();
        return 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Length(string? text) => text!.Length;

    /// <summary>Where nothing is mapped without an address, so that nothing else takes the place of what is unmapped.</summary>
    private static nint Map(int bytes) =>
        MapAt((nint)(FamilyLayout.Slot(MemberRuntime.Member->Index) + QuietOffset + Interlocked.Add(ref s_mapped, 16 * Page)), bytes);

    private static nint MapAt(nint address, int bytes)
    {
        nint p = Sys.Mmap(address, (nuint)bytes, Prot.Read | Prot.Write, MapFlags.Private | MapFlags.Anonymous | MapFlags.FixedNoreplace, -1, 0);
        Check.That(p == address, $"mmap {p}");
        return p;
    }

    private static void Pattern(Span<byte> bytes, int seed)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = (byte)(i * 31 + seed + (i >> 8));
        }
    }
}
