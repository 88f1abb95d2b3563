using System.Diagnostics;
using Rpal.Hosting;

namespace Rpal.Cli.Bench;

/// <summary>Starts one program again and again as the only member of this process's family.</summary>
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
        Member member = Member.Start(family, definition, devNull, output.WriteEnd, devNull, static _ => { });
        output.Dispose();
        using var reader = new StreamReader(pipe);
        string text = reader.ReadToEnd();
        MemberExit exit = member.Exit.GetAwaiter().GetResult();
        TimeSpan took = Stopwatch.GetElapsedTime(begin);
        member.Reclaimed.GetAwaiter().GetResult();               // later starts do not pay for its memory
        return exit.ExitCode == 0 && text.Length > 0 ? took : throw new BenchFailedException($"The hello member ended with {exit}.");
    }
}
