using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>A receiver's managed thread as it was before its first call, and the way back: a call leaves nothing behind for the next
/// caller.</summary>
/// <remarks>
/// Invariant: when a call has left the receiver, its thread has the empty execution context (AsyncLocals: culture, principal, activity),
/// no synchronization context, its own name, normal priority, and is a background thread. The thread pool resets the same after each item.
/// Thread-statics, held locks, and what native code changed of the kernel thread stay, as they do in the thread pool.
/// <para>
/// The look must cost next to nothing, so it reads three of the runtime's own fields, through an object that the receiver block names: the
/// public way finds the thread through thread-local storage, which costs 6 cycles more. On a runtime without these fields every call resets
/// all.
/// </para></remarks>
internal sealed unsafe class ReceiverThread
{
    /// <summary>Each receiver's thread, by its index in the member. The array does not move, so a receiver block can name an
    /// element.</summary>
    private static readonly Thread?[] s_all = GC.AllocateArray<Thread?>(FamilyLayout.ReceiverCapacity, pinned: true);

    /// <summary>How often the change handlers of AsyncLocals are called for one call's end.</summary>
    private const int RestoreLimit = 4;

    private static readonly bool s_fieldsAreKnown = ProbeFields();

    [ThreadStatic]
    private static ReceiverThread? t_self;

    private readonly Thread _thread;
    private readonly string? _name;
    private readonly ExecutionContext _empty;

    private ReceiverThread(Thread thread, ExecutionContext empty) => (_thread, _name, _empty) = (thread, thread.Name, empty);

    /// <summary>Notes the calling thread. It was started without the execution context of whoever started it.</summary>
    /// <returns>What <see cref="ReceiverBlock.Thread"/> is to hold.</returns>
    public static long Note(int receiver)
    {
        ReceiverThread self = new(Thread.CurrentThread, ExecutionContext.Capture()!);
        self.Reset();                                            // its construction left marks
        s_all[receiver] = Thread.CurrentThread;
        t_self = self;
        return (long)Unsafe.AsPointer(ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(s_all), receiver));
    }

    /// <summary>Puts back what a handler changed. On the receiver's own stack and thread-local storage.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LeaveNothing(ReceiverBlock* receiver)
    {
        Thread thread = Unsafe.AsRef<Thread>((void*)receiver->Thread);
        Debug.Assert(ReferenceEquals(thread, Thread.CurrentThread), "A call is answered in the context that it entered.");
        if (!s_fieldsAreKnown || IsChanged(thread))
        {
            t_self!.Reset();
            Debug.Assert(!s_fieldsAreKnown || !IsChanged(thread), "A call leaves nothing behind in its receiver.");
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsChanged(Thread thread) =>              // one branch: each one is felt
        (Unsafe.As<ExecutionContext?, nint>(ref ContextOf(thread))
            | Unsafe.As<SynchronizationContext?, nint>(ref SynchronizationOf(thread))
            | (IsMarked(thread) ? 1 : 0)) != 0;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Reset()
    {
        for (int i = 0; i < RestoreLimit && ExecutionContext.Capture() != _empty; i++)
        {
            ExecutionContext.Restore(_empty);                    // runs the change handlers of AsyncLocals, which may set others
        }

        if (s_fieldsAreKnown)
        {
            ContextOf(_thread) = null;                           // what they set again and again
        }

        SynchronizationContext.SetSynchronizationContext(null);
        if (_thread.Name != _name)
        {
            _thread.Name = _name;
        }

        if (_thread.Priority != ThreadPriority.Normal)
        {
            _thread.Priority = ThreadPriority.Normal;
        }

        _thread.IsBackground = true;
        if (s_fieldsAreKnown)
        {
            IsMarked(_thread) = false;
        }
    }

    /// <summary>Whether this runtime has the fields, and they mean what they are read for.</summary>
    private static bool ProbeFields()
    {
        bool known = false;
        var probe = new Thread(() =>
        {
            try
            {
                Thread self = Thread.CurrentThread;
                bool wasEmpty = ContextOf(self) is null && SynchronizationOf(self) is null && !IsMarked(self);
                new AsyncLocal<int>().Value = 1;
                SynchronizationContext.SetSynchronizationContext(new SynchronizationContext());
                self.Name = "rpal probe";
                known = wasEmpty && ContextOf(self) is not null && SynchronizationOf(self) is not null && IsMarked(self);
            }
            catch (MissingFieldException)
            {
            }
        });
        try
        {
            probe.UnsafeStart();
            probe.Join();
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStateException)
        {
            return false;                                        // no thread to be had: every call resets all
        }

        return known;
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_executionContext")]
    private static extern ref ExecutionContext? ContextOf(Thread thread);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_synchronizationContext")]
    private static extern ref SynchronizationContext? SynchronizationOf(Thread thread);

    /// <summary>Set when name, priority or background are changed to what the thread pool would have to reset.</summary>
    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_mayNeedResetForThreadPool")]
    private static extern ref bool IsMarked(Thread thread);
}
