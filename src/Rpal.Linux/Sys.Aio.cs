namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>io_setup(2): a context for asynchronous input and output. It belongs to the address space.</summary>
    /// <param name="events">Requests at a time.</param>
    /// <param name="context">Its number: the address of its ring.</param>
    /// <returns>0, or -errno: EAGAIN (over fs.aio-max-nr), EINVAL, ENOMEM.</returns>
    public static int IoSetup(uint events, out nint context)
    {
        nint made = 0;
        int r = (int)Invoke(SyscallNumber.IoSetup, (nint)events, (nint)(&made));
        context = made;
        return r;
    }

    /// <summary>io_destroy(2): waits for the requests that are under way.</summary>
    /// <returns>0, or -errno: EINVAL (there is none of that number).</returns>
    public static int IoDestroy(nint context) => (int)Invoke(SyscallNumber.IoDestroy, context);
}
