using System.Runtime.InteropServices;

namespace Rpal.Cli.Torture;

/// <summary>What goes on in every member besides: collections at odd times, and handlers for the storm's signals.</summary>
internal sealed unsafe class Nuisance : IDisposable
{
    /// <summary>What the storm sends: SIGURG and a real-time signal. Not before a member is ready: the second ends who has no handler.</summary>
    public const int Urgent = 23, RealTime = 40;

    private const int LongestPauseMs = 150;

    private readonly PosixSignalRegistration _urgent, _realTime;
    private readonly MemberPlace* _place;
    private bool _stop;

    public Nuisance(MemberPlace* place, ulong seed)
    {
        _place = place;
        _urgent = PosixSignalRegistration.Create((PosixSignal)Urgent, Count);
        _realTime = PosixSignalRegistration.Create((PosixSignal)RealTime, Count);
        new Thread(() => Collect(TortureMessage.RandomOf(seed, 4))) { IsBackground = true, Name = "collections" }.Start();
    }

    public void Dispose()
    {
        Volatile.Write(ref _stop, true);
        _urgent.Dispose();
        _realTime.Dispose();
    }

    private void Count(PosixSignalContext context)
    {
        context.Cancel = true;                                   // or the default action follows
        Interlocked.Increment(ref _place->SignalsHandled);
    }

    private void Collect(Random random)
    {
        while (!Volatile.Read(ref _stop))
        {
            Pace.Run(1 + random.Next(LongestPauseMs));
            TortureDeeds.Allocate(random.Next());
            GC.Collect(random.Next(3));
            Interlocked.Increment(ref _place->Collections);
        }
    }
}
