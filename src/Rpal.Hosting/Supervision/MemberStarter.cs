using Rpal.Hosting.Control;
using Rpal.Hosting.Keeping;
using Rpal.Hosting.Loading;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Supervision;

/// <summary>Starts a member's process with its pipes, and hands its lines on.</summary>
internal sealed class MemberStarter(Family family, IFamilyObserver observer, LogBook logs, KeeperLink? keeper)
{
    /// <param name="definition">The program.</param>
    /// <param name="lines">Completes when its last line was handed on.</param>
    /// <exception cref="MemberStartException">It cannot be started, for whatever reason; nothing of it is left.</exception>
    public Member Start(MemberDefinition definition, out Task lines)
    {
        HostDescriptors.RequireForStart(definition.Name);
        try
        {
            return StartWithPipes(definition, out lines);
        }
        catch (Exception) when (HostDescriptors.Shortage($"{definition.Name}: its start failed for want of descriptors in the host") is { } shortage)
        {
            throw new MemberStartException(125, shortage);       // they were used up meanwhile
        }
        catch (Exception e) when (e is not MemberStartException)
        {
            string why = e is OutOfMemoryException ? $"no memory, or no thread, is to be had.{TaskLimits.Describe()}" : e.OneLine();
            throw new MemberStartException(125, $"{definition.Name}: the host cannot start it: {why}");
        }
    }

    private Member StartWithPipes(MemberDefinition definition, out Task lines)
    {
        using var output = OutputPipe.Open();
        using var error = OutputPipe.Open();
        int devNull = OutputPipe.AboveStandard(Sys.Open("/dev/null", OpenFlags.ReadWrite | OpenFlags.CloseOnExec));
        if (devNull < 0)
        {
            throw new MemberStartException(125, $"{definition.Name}: /dev/null: {ErrnoText.Describe(devNull)}.");
        }

        Member member;
        try
        {
            member = Member.Start(family, definition, devNull, output.WriteEnd, error.WriteEnd, text => observer.Notice(definition.Name, text),
                (slot, task) => keeper?.Hand(definition, slot, task.Pid, [task.Listener, task.Pidfd, output.ReadEnd, error.ReadEnd]));
        }
        finally
        {
            _ = Sys.Close(devNull);
        }

        try
        {
            output.CloseWriteEnd();
            error.CloseWriteEnd();
            observer.Started(definition.Name, member.Pid, FamilyLayout.Slot(member.Index));
            var pump = new OutputPump(output.TakeReadEnd(), error.TakeReadEnd(), member.Exit, (isError, line) =>
            {
                logs.Add(definition.Name, isError, line);
                observer.Line(definition.Name, isError, line);
            }, text => observer.Notice(definition.Name, text));
            lines = pump.Start(definition.Name);
            keeper?.Follow(member, () => Copies(member, pump));
            return member;
        }
        catch
        {
            member.Send(Signal.SIGKILL);                         // nobody would look after it
            throw;
        }
    }

    /// <summary>A member's descriptors once more, in <see cref="Ward"/>'s order.</summary>
    /// <returns>-errno for those that cannot be made, EBADF once it has ended.</returns>
    private static int[] Copies(Member member, OutputPump pump) =>
        [member.CopyListener(), member.CopyProcess(), pump.Copy(0), pump.Copy(1)];
}
