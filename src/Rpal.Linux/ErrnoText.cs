using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>Words for error numbers.</summary>
internal static class ErrnoText
{
    /// <summary>For example "ENOENT (No such file or directory)".</summary>
    /// <param name="negativeOrPositiveErrno">As errno or as a call returned it.</param>
    public static string Describe(int negativeOrPositiveErrno)
    {
        // Math.Abs would throw on int.MinValue, and an error text must not.
        int number = negativeOrPositiveErrno < 0 ? unchecked(-negativeOrPositiveErrno) : negativeOrPositiveErrno;
        string name = Enum.GetName((Errno)number) ?? $"errno {number}";
        return $"{name} ({Marshal.GetPInvokeErrorMessage(number)})";
    }
}
