using System.Diagnostics;
using Rpal.Hosting;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Cli.Bench;

/// <summary>Starts one program again and again as the only member of this process's family.</summary>
/// <remarks>A slot each; a dead member's is unmapped, or later starts would pay for reading ever longer memory maps.</remarks>
internal sealed class MemberStarts(MemberDefinition definition)
{
    public TimeSpan RunOnce()
    {
        using var output = OutputPipe.Open();
        int readEnd = output.TakeReadEnd();
        using var pipe = new FileStream(new Microsoft.Win32.SafeHandles.SafeFileHandle(readEnd, ownsHandle: true), FileAccess.Read);
        using FileStream nothing = File.Open("/dev/null", FileMode.Open, FileAccess.ReadWrite);
        Family family = Family.GetOrCreate();
        long begin = Stopwatch.GetTimestamp();
        int devNull = (int)nothing.SafeFileHandle.DangerousGetHandle();
        Member member = Member.Start(family, definition, devNull, output.WriteEnd, devNull, _ => { });
        output.Dispose();
        using var reader = new StreamReader(pipe);
        string text = reader.ReadToEnd();
        MemberExit exit = member.Exit.GetAwaiter().GetResult();
        TimeSpan took = Stopwatch.GetElapsedTime(begin);
        member.Reclaimed.Wait();
        return exit.ExitCode == 0 && text.Length > 0 ? took : throw new BenchFailedException($"The hello member ended with {exit}.");
    }
}
