using System.Diagnostics;

namespace Rpal.LoaderMember.Scenarios;

/// <summary>Starts many children at once and checks what each says and returns.</summary>
internal static class LoaderChildren
{
    private const int LineCount = 200;

    public static int Run(string[] args)
    {
        int wrong = 0;
        Parallel.For(0, int.Parse(args[0]), new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
        {
            ProcessStartInfo start = new("/bin/sh", ["-c", $"i=0; while [ $i -lt {LineCount} ]; do echo line $i of {i}; i=$((i+1)); done | sort | wc -l; exit {i % 200}"])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            using Process child = Process.Start(start)!;
            Task<string> outputs = child.StandardOutput.ReadToEndAsync(), errors = child.StandardError.ReadToEndAsync();
            Patient.Came(child.WaitForExit(Patient.Limit)
                && Task.WaitAll([outputs, errors], Patient.Limit), "a child's end and its output's");
            string output = outputs.Result.Trim(), error = errors.Result;
            if (output != $"{LineCount}" || error.Length > 0 || child.ExitCode != i % 200)
            {
                Interlocked.Increment(ref wrong);
                Console.Error.WriteLine($"child {i}: '{output}' '{error}' exit code {child.ExitCode}");
            }
        });
        Console.WriteLine($"wrong {wrong}");
        return wrong == 0 ? 0 : 1;
    }
}
