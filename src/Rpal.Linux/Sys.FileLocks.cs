using System.Runtime.InteropServices;

namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    private const short WriteLock = 1, Unlock = 2;

    /// <summary>fcntl(2), F_OFD_SETLK: takes one byte of a file for this open file description, without waiting. The kernel gives it back with the last descriptor.</summary>
    /// <returns>0, or -errno: EAGAIN another description has it, EBADF not open for writing.</returns>
    public static int LockByte(int fd, long offset) => Fcntl(fd, FileLock.SetCommand, WriteLock, offset, out _);

    /// <summary>fcntl(2), F_OFD_SETLK with F_UNLCK.</summary>
    public static int UnlockByte(int fd, long offset) => Fcntl(fd, FileLock.SetCommand, Unlock, offset, out _);

    /// <summary>fcntl(2), F_OFD_GETLK.</summary>
    /// <returns>1 another description has locked the byte, 0 none has, or -errno.</returns>
    public static int IsByteLocked(int fd, long offset)
    {
        int r = Fcntl(fd, FileLock.GetCommand, WriteLock, offset, out short found);
        return r < 0 ? r : found == Unlock ? 0 : 1;
    }

    private static int Fcntl(int fd, int command, short type, long offset, out short found)
    {
        FileLock what = new() { Type = type, Start = offset, Length = 1 };
        int r = (int)Invoke(SyscallNumber.Fcntl, fd, command, (nint)(&what));
        found = what.Type;
        return r;
    }

    /// <summary>struct flock. 0 type s16 | 2 whence s16 (SEEK_SET) | 8 start s64 | 16 length s64 | 24 pid s32, 0 for these commands</summary>
    [StructLayout(LayoutKind.Explicit, Size = 32)]
    private struct FileLock
    {
        public const int GetCommand = 36, SetCommand = 37;

        [FieldOffset(0)] public short Type;
        [FieldOffset(8)] public long Start;
        [FieldOffset(16)] public long Length;
    }
}
