using System.Globalization;
using Rpal.Linux;

namespace Rpal.Memory.PerCpu;

/// <summary>How many CPUs the kernel may ever run a thread on: numbers from 0 to one less. The same in every process and container of the machine.</summary>
internal static class PossibleCpus
{
    private const string ListFile = "/sys/devices/system/cpu/possible";

    public static int Count { get; } = Read();

    /// <summary>The last number of "0-3" or "0,2-5"; where /sys is hidden, the size of the kernel's CPU masks, which is no less.</summary>
    private static int Read()
    {
        try
        {
            string last = File.ReadAllText(ListFile).Trim().Split(',', '-')[^1];
            if (int.TryParse(last, NumberStyles.None, CultureInfo.InvariantCulture, out int highest))
            {
                return highest + 1;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _ = e;                                               // the mask says it too
        }

        return Sys.CpuMaskBits();
    }
}
