using Rpal.Linux;

namespace Rpal.Memory.Buffers;

/// <summary>The calling thread as a lock's words name it.</summary>
/// <remarks>Comes back: the number, once the thread has ended. So it is for messages: whoever gives a lease back compares the whole word,
/// with its version, or
/// its own seat.</remarks>
internal static class CallingThread
{
    [ThreadStatic] private static uint t_id;
    [ThreadStatic] private static ulong t_serial;

    /// <summary>gettid(2), asked once. Never 0.</summary>
    public static uint Id => t_id != 0 ? t_id : t_id = (uint)Sys.GetTid();

    /// <summary>Another number for each call of a thread.</summary>
    public static ulong NextSerial() => ++t_serial;
}
