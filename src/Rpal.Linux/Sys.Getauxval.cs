using System.Runtime.InteropServices;

namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>getauxval(3). Types: <see cref="AuxiliaryType"/>.</summary>
    /// <returns>The value, 0 when the kernel did not give one.</returns>
    public static ulong GetAuxiliaryValue(ulong type) => LibcGetauxval(type);

    [LibraryImport("libc", EntryPoint = "getauxval")]
    private static partial ulong LibcGetauxval(ulong type);
}
