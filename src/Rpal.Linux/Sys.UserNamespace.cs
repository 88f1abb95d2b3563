namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>ioctl_nsfs(2), NS_GET_OWNER_UID: the user that made a user namespace, as this process numbers users.</summary>
    /// <param name="fd">Descriptor of the namespace.</param>
    /// <param name="owner">The user's number.</param>
    /// <returns>0, or -errno: EINVAL (a namespace of another kind), ENOTTY (no namespace).</returns>
    public static int UserNamespaceOwner(int fd, out uint owner)
    {
        const int getOwner = 0xb704;                             // _IO(0xb7, 0x4)
        uint user = 0;
        int r = (int)Invoke(SyscallNumber.Ioctl, fd, getOwner, (nint)(&user));
        owner = user;
        return r;
    }

    /// <summary>ioctl_nsfs(2), NS_GET_PARENT: the namespace in which a user namespace was made.</summary>
    /// <param name="fd">Descriptor of the namespace.</param>
    /// <returns>A descriptor, or -errno: EPERM (the parent is outside this process's namespace, or there is none).</returns>
    public static int UserNamespaceParent(int fd)
    {
        const int getParent = 0xb702;                            // _IO(0xb7, 0x2)
        return (int)Invoke(SyscallNumber.Ioctl, fd, getParent);
    }
}
