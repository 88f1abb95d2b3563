using System.Numerics;
using System.Runtime.Intrinsics.X86;

namespace Rpal.Memory.Waiting;

/// <summary>Decides for one place of waiting whether it pays to spin before going to sleep, from how long the last waits there took.</summary>
/// <remarks>
/// A wait that would have ended within the budget counts for spinning, whether it was spun or slept through; of the last <see cref="HistoryWaits"/> at
/// least <see cref="PayingWaits"/> must. The budget is about what a wake-up costs (<see cref="WakeCost"/>), so that spinning costs at most as much again.
/// Threads that use one object at the same time may lose each other's records: it is a guess anyhow.
/// </remarks>
internal sealed class AdaptiveWait(SpinAllowance? allowance = null, Func<long>? wakeCostNs = null)
{
    /// <summary>Longest time that any wait spins.</summary>
    public const long SpinBoundNs = 50_000;

    /// <summary>Remembered waits, and how many of them must have been short. At first all count as short.</summary>
    public const int HistoryWaits = 16, PayingWaits = 12;

    /// <summary>Pauses between two looks at the word: PAUSE is 64 ns or less, one look a cache line's way.</summary>
    private const int PausesPerLook = 2;

    private readonly SpinAllowance _allowance = allowance ?? SpinAllowance.OfProcess;
    private readonly Func<long> _wakeCostNs = wakeCostNs ?? WakeCost.Ns;
    private uint _history = (1u << HistoryWaits) - 1;

    /// <summary>How long the next wait may spin; 0 not at all.</summary>
    public long BudgetNs() => BudgetNs(_allowance.Now);

    /// <param name="nowNs">The time, which the caller has looked at already: a look costs as much as a locked instruction.</param>
    public long BudgetNs(long nowNs) => _allowance.MaySpin(nowNs) && BitOperations.PopCount(_history) >= PayingWaits ? Bound() : 0;

    /// <summary>As <see cref="Record"/>, for a wait that began at an instant.</summary>
    public void RecordSince(long beganNs, bool slept)
    {
        if (_allowance.MaySpinStill)
        {
            Record(_allowance.Now - beganNs, slept);
        }
    }

    /// <summary>A wait has ended.</summary>
    /// <param name="tookNs">From the first look that found nothing.</param>
    /// <param name="slept">Whether it went to sleep: then waking took a part of it.</param>
    public void Record(long tookNs, bool slept)
    {
        if (!_allowance.MaySpinStill)
        {
            return;
        }

        long withoutWake = slept ? tookNs - _wakeCostNs() : tookNs;
        _history = (_history << 1 | (withoutWake <= Bound() ? 1u : 0)) & (1u << HistoryWaits) - 1;
    }

    /// <summary>A moment of spinning.</summary>
    public static void Pause()
    {
        for (int i = 0; i < PausesPerLook; i++)
        {
            X86Base.Pause();
        }
    }

    private long Bound() => Math.Min(_wakeCostNs(), SpinBoundNs);
}
