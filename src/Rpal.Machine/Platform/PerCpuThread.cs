using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Machine.Platform;

/// <summary>Which of the kernel's areas the calling context uses: libc's, found through FS, or that of the kernel thread it happens to run on, found through GS.</summary>
internal static unsafe class PerCpuThread
{
    /// <summary>Lengths that libcs may have registered: that of the first version, and what the kernel says it fills in.</summary>
    private static readonly int[] s_lengths = [RseqArea.SizeBytes, (int)Sys.GetAuxiliaryValue(AuxiliaryType.RseqFeatureSize)];

    private static bool s_anyArmed;

    [ThreadStatic]
    private static bool t_armed;

    /// <summary>Whether this context may run on another process's kernel thread, so that only GS tells where its area is. Once so, always so.</summary>
    public static bool IsArmed => s_anyArmed && t_armed;

    /// <summary>Moves the calling kernel thread's registration from libc's area into its block. By the thread itself, before it is armed.</summary>
    /// <remarks>
    /// Not only for the emitted sections: a native library of the callee that uses restartable sequences itself would, in a foreign context, name its
    /// section in an area of which the executing kernel thread knows nothing. With the registration moved it finds itself unregistered and takes
    /// its other way. libc itself only reads the CPU there, and asks the kernel instead.
    /// </remarks>
    public static void Move(ThreadBlock* block)
    {
        RseqArea* own = (RseqArea*)&block->RseqCpuStart;
        *own = new RseqArea { Cpu = RseqArea.Unregistered };
        RseqArea* libc = Sys.LibcRseqArea();
        if (libc is null || libc->Cpu == RseqArea.Unregistered || TryUnregister(libc))
        {
            _ = Sys.RseqRegister(own, RseqArea.SizeBytes);       // refused: it stays unregistered, and its sections say so
        }
    }

    /// <summary>Takes the registration back, for the thread that could not be armed: another gets its block.</summary>
    public static void Forget(ThreadBlock* block) => _ = Sys.RseqUnregister((RseqArea*)&block->RseqCpuStart, RseqArea.SizeBytes);

    private static bool TryUnregister(RseqArea* area)
    {
        foreach (int length in s_lengths)
        {
            if (Sys.RseqUnregister(area, length) >= 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>From now on through GS. After the thread is armed.</summary>
    public static void Armed() => (s_anyArmed, t_armed) = (true, true);
}
